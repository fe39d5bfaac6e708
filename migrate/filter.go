package migrate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Filter says which mail takes part. The zero Filter lets all pass.
type Filter struct {
	Rules   []Rule    // in order, the last that matches a mailbox decides
	Since   time.Time // internal date not before this; zero for no bound. A message without a date passes
	Before  time.Time // internal date before this; zero for no bound
	MaxSize int64     // octets; 0 for no bound. A message whose size is not announced passes
}

// A Rule takes mailboxes in or leaves them out. Make it by NewRule.
type Rule struct {
	glob    string
	exclude bool
	role    Role
	match   *regexp.Regexp
}

// NewRule makes a rule for the mailboxes that glob matches and all that lie below them. In glob "*" stands for any
// octets, "/" included, and "?" for one character; a glob that begins with a backslash names a role, such as `\Trash`.
func NewRule(glob string, exclude bool) Rule {
	rule := Rule{glob: glob, exclude: exclude}
	if strings.HasPrefix(glob, `\`) {
		rule.role = Role(glob)
		return rule
	}
	if strings.EqualFold(glob, string(Inbox)) {
		glob = string(Inbox)
	}
	var pattern strings.Builder
	for _, r := range strings.TrimSuffix(glob, "/") {
		switch r {
		case '*':
			pattern.WriteString(".*")
		case '?':
			pattern.WriteString(".")
		default:
			pattern.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	rule.match = regexp.MustCompile(`(?s)\A(?:` + pattern.String() + `)(?:/.*)?\z`)
	return rule
}

func (r Rule) matches(mbox Mailbox) bool {
	if r.role != "" {
		return strings.EqualFold(string(r.role), string(mbox.Role))
	}
	return r.match.MatchString(string(mbox.Path))
}

// Mailbox tells whether mbox takes part. Where no rule matches, it does unless some rule takes mailboxes in.
func (f *Filter) Mailbox(mbox Mailbox) bool {
	takes := true
	for _, rule := range f.Rules {
		if !rule.exclude {
			takes = false
			break
		}
	}
	for _, rule := range f.Rules {
		if rule.matches(mbox) {
			takes = !rule.exclude
		}
	}
	return takes
}

// ofMessages tells whether some messages of a mailbox may take part and others not.
func (f *Filter) ofMessages() bool { return !f.Since.IsZero() || !f.Before.IsZero() || f.MaxSize > 0 }

// unmatched gives an error for each rule that takes in none of mailboxes: a name that was mistyped must not look like a
// mailbox that has been dealt with.
func (f *Filter) unmatched(end End, mailboxes []Mailbox) (errs []error) {
	for _, rule := range f.Rules {
		if !rule.exclude && !slices.ContainsFunc(mailboxes, rule.matches) {
			errs = append(errs, &Error{End: string(end), Err: fmt.Errorf("no mailbox matches --folder %q; postcask ls shows their names", rule.glob)})
		}
	}
	return errs
}

// tellUnmatched tells of rules that take nothing in, and counts each as a mailbox that could not be read.
func (r *run) tellUnmatched(mailboxes []Mailbox) {
	for _, err := range r.Options.Filter.unmatched(r.Source, mailboxes) {
		r.update(func() { r.summary.MailboxesFailed++; r.tell(Event{Type: EventWarning, Err: err}) })
	}
}

// Message tells whether m takes part.
func (f *Filter) Message(m Message) bool {
	if !m.InternalDate.IsZero() {
		if !f.Since.IsZero() && m.InternalDate.Before(f.Since) || !f.Before.IsZero() && !m.InternalDate.Before(f.Before) {
			return false
		}
	}
	return f.MaxSize == 0 || m.Size <= f.MaxSize
}
