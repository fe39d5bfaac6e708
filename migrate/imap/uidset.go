package imap

import (
	"fmt"
	"strconv"
)

// uidSet writes a sequence-set (RFC 9051, section 9) of ascending UIDs.
type uidSet struct {
	text        []byte
	first, last uint32
}

func (u *uidSet) add(uid uint32) {
	if u.first != 0 && uid == u.last+1 {
		u.last = uid
		return
	}
	u.flush()
	u.first, u.last = uid, uid
}

func (u *uidSet) flush() {
	if u.first == 0 {
		return
	}
	if len(u.text) > 0 {
		u.text = append(u.text, ',')
	}
	u.text = strconv.AppendUint(u.text, uint64(u.first), 10)
	if u.last > u.first {
		u.text = fmt.Appendf(u.text, ":%d", u.last)
	}
	u.first = 0
}

// length is at least that of the finished set.
func (u *uidSet) length() int { return len(u.text) + 22 }

func (u *uidSet) String() string {
	u.flush()
	return string(u.text)
}
