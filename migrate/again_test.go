package migrate_test

import (
	"testing"

	"postcask/migrate"
)

// What was refused for another's sake comes again in the same run, and is then judged for itself.
func TestMessagesRefusedTogetherComeAgain(t *testing.T) {
	r := newRefusing(t)
	judge, came := r.to.Refuse, map[string]int{}
	r.to.Refuse = func(m migrate.Message, octets []byte) error {
		name := m.Key.String() + string(octets) // two messages have the same octets, or the same key in another mailbox
		if came[name]++; came[name] == 1 {
			return migrate.ErrAgain
		}
		return judge(m, octets)
	}
	if summary := mustRun(t, r.job); summary.Copied != 14 || summary.Quarantined != 1 || summary.Failed != 0 || summary.Retries != 0 {
		t.Errorf("%+v", summary)
	}
	if summary := mustRun(t, r.job); summary.Copied != 0 || summary.Present != 14 {
		t.Errorf("the second run: %+v", summary)
	}
	for name, n := range came {
		if n != 2 {
			t.Errorf("%q was appended %d times", name, n)
		}
	}
}

// A destination that never judges gets no message called copied, and the run comes to an end.
func TestADestinationThatNeverJudges(t *testing.T) {
	r := newRefusing(t)
	r.to.Refuse = func(migrate.Message, []byte) error { return migrate.ErrAgain }
	summary, err := migrate.Run(t.Context(), r.job)
	if summary.Copied != 0 || summary.Quarantined != 0 || err == nil && summary.Failed != 15 {
		t.Errorf("%+v, %v", summary, err)
	}
}
