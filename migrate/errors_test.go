package migrate_test

import (
	"errors"
	"fmt"
	"testing"

	"postcask/migrate"
)

func TestAnErrorNamesTheMailboxOnce(t *testing.T) {
	refusal := errors.New("append: NO [OVERQUOTA] Mailbox is full")
	uid := migrate.Key{Validity: 1, UID: 7}
	for _, test := range []struct {
		err  *migrate.Error
		want string
	}{
		{&migrate.Error{End: "destination", Mailbox: "Full", Err: &migrate.Error{Mailbox: "Full", Err: refusal}},
			`destination: "Full": append: NO [OVERQUOTA] Mailbox is full`},
		{&migrate.Error{End: "destination", Mailbox: "Full", Key: uid, Err: &migrate.Error{Mailbox: "Full", Err: refusal}},
			`destination: "Full", UID 7: append: NO [OVERQUOTA] Mailbox is full`},
		{&migrate.Error{End: "destination", Mailbox: "Full", Err: &migrate.Error{Mailbox: "Full", Key: uid, Err: refusal}},
			`destination: "Full": UID 7: append: NO [OVERQUOTA] Mailbox is full`},
		{&migrate.Error{End: "destination", Mailbox: "Full", Key: uid, Err: &migrate.Error{Mailbox: "Old/Full", Err: refusal}},
			`destination: "Full", UID 7: "Old/Full": append: NO [OVERQUOTA] Mailbox is full`},
		{&migrate.Error{End: "destination", Err: &migrate.Error{Kind: migrate.Refused, Err: &migrate.Error{End: "destination", Mailbox: "Full", Err: refusal}}},
			`destination: "Full": append: NO [OVERQUOTA] Mailbox is full`},
		{&migrate.Error{Mailbox: "Full", Err: fmt.Errorf("given up: %w", refusal)}, `"Full": given up: append: NO [OVERQUOTA] Mailbox is full`},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
		if !errors.Is(test.err, test.err.Err) {
			t.Errorf("%s: the cause is lost", test.want)
		}
	}
}
