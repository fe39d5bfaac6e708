package archive

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

// Whatever came from wherever, Unclaimed tells what listing the mailbox and all claims to it would.
func TestWhatNobodyClaimsIsToldAtOnce(t *testing.T) {
	a := newArchive(t, Mbox)
	mine, err := a.Ledger(t.Context(), "imaps://one@mail.example.org:993")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := a.Ledger(t.Context(), "imaps://two@mail.example.org:993")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 5 {
		for i := range 40 {
			box := []migrate.Path{"INBOX", "Sent"}[rng.IntN(2)]
			if round == 0 { // at first each message is claimed, or was once
				box = "Drafts"
			}
			place := store(t, a, box, fmt.Sprintf("A: %d\r\n\r\n%d\r\n", round, i))[0].Key
			e := migrate.Entry{Key: migrate.Key{Validity: 1, UID: uint32(100*round + i + 1)}, State: migrate.Arrived, Mailbox: box, Place: place}
			known := []migrate.Ledger{mine, mine, theirs, nil}[rng.IntN(4)]
			if round == 0 {
				known = mine
			}
			if known != nil {
				e.Retired = rng.IntN(5) == 0
				if err := known.Record(t.Context(), "From", []migrate.Entry{e}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, known := range []migrate.Ledger{mine, theirs} {
			for _, box := range []migrate.Path{"INBOX", "Sent", "Drafts", "Nowhere"} {
				claims := map[migrate.Key]bool{}
				for e, err := range known.Claims(t.Context(), box) {
					if err != nil {
						t.Fatal(err)
					}
					claims[e.Place] = true
				}
				var want, got []migrate.Message
				for _, m := range held(t, a, box) {
					if !claims[m.Key] {
						want = append(want, m)
					}
				}
				for m, err := range known.(migrate.Unclaimer).Unclaimed(t.Context(), box) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, m)
				}
				if diff := cmp.Diff(want, got); diff != "" || round > 0 && box != "Nowhere" && len(got) == 0 {
					t.Errorf("round %d, %s: -listed +told\n%s", round, box, diff)
				}
			}
		}
	}
}
