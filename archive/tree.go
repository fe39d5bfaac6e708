package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

// A tree knows which name on disk each part of each mailbox's path has.
type tree struct {
	name     string           // on disk
	children map[string]*tree // by part of the path
	taken    map[string]bool  // the children's names as a file system that neglects case may see them
}

func newTree(name string) *tree {
	return &tree{name: name, children: map[string]*tree{}, taken: map[string]bool{}}
}

// add gives the name of part below t a place that is known already.
func (t *tree) add(part, name string) (*tree, error) {
	if child := t.children[part]; child != nil {
		if child.name != name {
			return nil, migrate.Errorf(migrate.Damaged, "the index names two places for %.200q", part)
		}
		return child, nil
	}
	child := newTree(name)
	t.children[part], t.taken[fold(name)] = child, true
	return child, nil
}

// find gives the child for part, and makes a name for one that is new.
func (t *tree) find(part string) *tree {
	if child := t.children[part]; child != nil {
		return child
	}
	bare := encodePart(part)
	name := bare
	for n := 2; t.taken[fold(name)]; n++ {
		name = twin(bare, n)
	}
	child, _ := t.add(part, name) // it is new
	return child
}

// loadTree reads from the index where the mailboxes lie.
func (a *Archive) loadTree(ctx context.Context) error {
	a.tree = newTree("")
	mailboxes, err := a.index.Mailboxes(ctx)
	if err != nil {
		return err
	}
	for _, m := range mailboxes {
		if err := a.learn(m); err != nil {
			return err
		}
	}
	return nil
}

// learn puts a mailbox of the index at its place.
func (a *Archive) learn(m ledger.Mailbox) error {
	names, err := a.names(m.File)
	parts := m.Path.Parts()
	if err == nil && len(names) != len(parts) {
		err = migrate.Errorf(migrate.Damaged, "the index puts it at %.200q", m.File)
	}
	for i, at := 0, a.tree; err == nil && i < len(parts); i++ {
		at, err = at.add(parts[i], names[i])
	}
	if err != nil {
		return &migrate.Error{Kind: migrate.Damaged, Err: fmt.Errorf("mailbox %q: %w", m.Path, err), Hint: damagedHint}
	}
	a.boxes[m.Path] = newBox(m.Path, m.File, names)
	return nil
}

// boxOf gives the box of a mailbox that the index knows, perhaps only since another process added it.
func (a *Archive) boxOf(ctx context.Context, mbox migrate.Path) (*box, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.boxes[mbox]; b != nil {
		return b, nil
	}
	m, ok, err := a.index.MailboxOf(ctx, mbox)
	if err == nil && !ok {
		err = fmt.Errorf("no such mailbox: %w", fs.ErrNotExist)
	}
	if err == nil {
		err = a.learn(m)
	}
	return a.boxes[mbox], err
}

// names splits the place of a mailbox, as the index has it, into the names of its parts.
func (a *Archive) names(file string) ([]string, error) {
	if a.Format() == Mbox {
		bare, ok := strings.CutSuffix(file, mboxSuffix)
		if !ok {
			return nil, migrate.Errorf(migrate.Damaged, "no mbox file: %.200q", file)
		}
		file = bare
	}
	return elements(file)
}

// place gives the box of a mailbox, and finds a place for one that is new.
func (a *Archive) place(mbox migrate.Path) (*box, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.boxes[mbox]; b != nil {
		return b, nil
	}
	parts := mbox.Parts()
	if len(parts) == 0 || migrate.NewPath(parts...) != mbox {
		return nil, errors.New("no path of a mailbox")
	}
	var names []string
	for i, at := 0, a.tree; i < len(parts); i++ {
		at = at.find(parts[i])
		names = append(names, at.name)
	}
	file := path.Join(names...)
	if a.Format() == Mbox {
		file += mboxSuffix
	}
	b := newBox(mbox, file, names)
	a.boxes[mbox] = b
	return b, nil
}
