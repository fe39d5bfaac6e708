package pop3

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"postcask/migrate"
)

// A name that a digest gives begins so. With the digest it is longer than any UIDL may be: no server can forge one.
const digestPrefix = "sha256:"

// A maildrop is what a server told of its messages, and the names that they go by. Numbers count from 1 (RFC 1939,
// section 5); slices are indexed by number less one.
type maildrop struct {
	sizes   []int64                  // -1 where not told
	names   *nameList                // by UIDL or digest; empty where not known yet
	byUIDL  []int32                  // numbers of the messages with a usable UIDL, in the order of those
	byOther map[string]int           // numbers by any other name
	exact   map[int]migrate.Identity // of the messages that were read to be named
	twins   map[migrate.Digest]int   // how many messages of a digest there were so far
	named   int                      // messages up to this number have been named
	gone    map[int]bool             // vanished since the listing
}

// newMaildrop names what can be named by UIDL: by one that is not empty and that only one message has.
func newMaildrop(sizes []int64, uidls *nameList) *maildrop {
	d := &maildrop{
		sizes: sizes, names: uidls, byUIDL: make([]int32, 0, uidls.len()),
		byOther: map[string]int{}, exact: map[int]migrate.Identity{}, twins: map[migrate.Digest]int{}, gone: map[int]bool{},
	}
	for i := range uidls.len() {
		if len(uidls.uidl(i)) > 0 {
			d.byUIDL = append(d.byUIDL, int32(i+1))
		}
	}
	slices.SortFunc(d.byUIDL, func(a, b int32) int {
		return cmp.Or(bytes.Compare(d.uidl(a), d.uidl(b)), cmp.Compare(a, b))
	})
	d.dropDoubles()
	return d
}

const longestUIDL = 70

// usable tells whether a UIDL is one: 1 to 70 octets from 0x21 to 0x7E (RFC 1939, section 7).
func usable[T string | []byte](uidl T) bool {
	for i := range len(uidl) {
		if uidl[i] < 0x21 || uidl[i] > 0x7e {
			return false
		}
	}
	return len(uidl) >= 1 && len(uidl) <= longestUIDL
}

func (d *maildrop) uidl(number int32) []byte { return d.names.uidl(int(number) - 1) }

// dropDoubles takes the name from all messages that share it: which is which may be told otherwise next time.
func (d *maildrop) dropDoubles() {
	single := d.byUIDL[:0]
	for at := 0; at < len(d.byUIDL); {
		end := at + 1
		for end < len(d.byUIDL) && bytes.Equal(d.uidl(d.byUIDL[end]), d.uidl(d.byUIDL[at])) {
			end++
		}
		if end == at+1 {
			single = append(single, d.byUIDL[at])
		} else {
			for _, number := range d.byUIDL[at:end] {
				d.names.unset(int(number) - 1)
			}
		}
		at = end
	}
	d.byUIDL = single
}

func (d *maildrop) count() int { return len(d.sizes) }

// number finds a message by its name, among those that have been named; 0 means that there is none.
func (d *maildrop) number(name string) int {
	if number, ok := d.byOther[name]; ok {
		return number
	}
	at := sort.Search(len(d.byUIDL), func(i int) bool { return string(d.uidl(d.byUIDL[i])) >= name })
	if name != "" && at < len(d.byUIDL) && string(d.uidl(d.byUIDL[at])) == name {
		return int(d.byUIDL[at])
	}
	return 0
}

// mayBeUnnamed tells whether a name that number did not find may belong to a message that has none yet.
func (d *maildrop) mayBeUnnamed(name string) bool {
	return d.named < d.count() && (strings.HasPrefix(name, digestPrefix) || strings.HasPrefix(name, unreadablePrefix))
}

// nameByDigest names a message by what it is. Of several that are the same, the first has the plain digest and the
// further ones ":2", ":3" and so on, in the order of the maildrop.
func (d *maildrop) nameByDigest(number int, identity migrate.Identity) {
	d.twins[identity.Trimmed]++
	name := digestPrefix + identity.Trimmed.String()
	if n := d.twins[identity.Trimmed]; n > 1 {
		name = fmt.Sprintf("%s:%d", name, n)
	}
	d.names.setOther(number-1, name)
	d.byOther[name], d.exact[number] = number, identity
}

// unreadablePrefix holds a space, which no UIDL does.
const unreadablePrefix = "unreadable message "

// nameByNumber names a message that has no UIDL and cannot be read, for this session alone: who asks for it is told why.
func (d *maildrop) nameByNumber(number int) {
	name := fmt.Sprintf("%s%d", unreadablePrefix, number)
	d.names.setOther(number-1, name)
	d.byOther[name] = number
}

// message gives what is known of a message that has been named.
func (d *maildrop) message(number int) migrate.Message {
	m := migrate.Message{Key: migrate.Key{Name: d.names.of(number - 1)}, Size: d.sizes[number-1]}
	if identity, ok := d.exact[number]; ok {
		m.Size, m.Identity = identity.Size, identity
	}
	return m
}
