package main

import (
	"path/filepath"
	"reflect"
	"testing"

	"postcask/archive"
	"postcask/migrate"
	"postcask/migrate/imap"
	"postcask/migrate/pop3"
)

// TestRunsGoTheSameWayWithV sees that an end which is timed for -v can all that it can without.
func TestRunsGoTheSameWayWithV(t *testing.T) {
	store, err := archive.Create(t.Context(), filepath.Join(t.TempDir(), "mail"), archive.Maildir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var clock timing
	for _, end := range []any{&imap.Session{}, &pop3.Session{}, store.Sink(), store.Source()} {
		timed := clock.opened(end, &clock.disk)
		if timed == end {
			t.Errorf("%T is not timed", end)
		}
		plain, wrapped := reflect.TypeOf(end), reflect.TypeOf(timed)
		for i := range plain.NumMethod() {
			method := plain.Method(i)
			if there, ok := wrapped.MethodByName(method.Name); !ok || there.Type.NumIn() != method.Type.NumIn() {
				t.Errorf("%v has no %s, as %v has", wrapped, method.Name, plain)
			}
		}
	}
	narrow := clock.opened(scope(store.Source(), "Work"), &clock.disk)
	if inner, ok := narrow.(*scoped); !ok || reflect.TypeOf(inner.Source) != reflect.TypeFor[*timedArchive]() || inner.path != migrate.Path("Work") {
		t.Errorf("a part of an archive became %T", narrow)
	}
}
