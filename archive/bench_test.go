package archive

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"postcask/migrate"
)

// Groups of 200 messages of 5 KB, written and read back.
func BenchmarkArchive(b *testing.B) {
	text := "Message-ID: <x@example.org>\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 70)
	const group = 200
	for _, format := range formats {
		a, err := Create(b.Context(), filepath.Join(b.TempDir(), "mail"), format, "")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("write %s", format), func(b *testing.B) {
			b.SetBytes(int64(group * len(text)))
			b.ReportAllocs()
			s := a.Sink()
			defer s.Close()
			for b.Loop() {
				for range group {
					if err := s.Append(b.Context(), "INBOX", migrate.Message{InternalDate: arrived}, bodyOf(text)); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := s.Commit(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(group*b.N)/b.Elapsed().Seconds(), "messages/s")
		})
		b.Run(fmt.Sprintf("read %s", format), func(b *testing.B) {
			b.SetBytes(int64(group * len(text)))
			b.ReportAllocs()
			s := a.Source()
			var all []migrate.Message
			for m, err := range s.Messages(b.Context(), "INBOX") {
				if err != nil {
					b.Fatal(err)
				}
				if all = append(all, m); len(all) == group {
					break
				}
			}
			for b.Loop() {
				for f, err := range s.Fetch(b.Context(), "INBOX", all) {
					if err != nil || f.Err != nil {
						b.Fatal(err, f.Err)
					}
					if _, err := io.Copy(io.Discard, f.Body); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(group*b.N)/b.Elapsed().Seconds(), "messages/s")
		})
		if err := a.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// Four lanes commit groups of 100 messages of 5 KB each at the same time, in either way.
func BenchmarkGroupCommit(b *testing.B) {
	const lanes, group = 4, 100
	text := "Message-ID: <x@example.org>\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 70)
	for name, few := range map[string]int{"fsync of each": group, "syncfs where it pays": fewFiles} {
		b.Run(name, func(b *testing.B) {
			a, err := Create(b.Context(), filepath.Join(b.TempDir(), "mail"), Maildir, "")
			if err != nil {
				b.Fatal(err)
			}
			defer a.Close()
			a.syncer.few = few
			b.SetBytes(int64(lanes * group * len(text)))
			b.ReportAllocs()
			for b.Loop() {
				var writing errgroup.Group
				for n := range lanes {
					writing.Go(func() error {
						s := a.Sink()
						defer s.Close()
						for range group {
							if err := s.Append(b.Context(), migrate.NewPath(fmt.Sprint("Box ", n)), migrate.Message{InternalDate: arrived}, bodyOf(text)); err != nil {
								return err
							}
						}
						_, err := s.Commit(b.Context())
						return err
					})
				}
				if err := writing.Wait(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(lanes*group*b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
