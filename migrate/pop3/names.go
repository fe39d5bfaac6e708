package pop3

// A nameList holds a name for each message, by number less one. The octets of UIDLs lie together, in pieces: as strings of
// their own those of a large maildrop would take thrice the memory, and much of the collector's time.
type nameList struct {
	pieces  [][]byte
	at      []uint32 // where a UIDL begins: the piece, and the place in it
	lengths []uint8  // 0: none
	others  map[int]string
}

const pieceSize = 32 << 10

func newNameList(messages int) *nameList {
	return &nameList{at: make([]uint32, messages), lengths: make([]uint8, messages), others: map[int]string{}}
}

// set gives message i a usable UIDL, which is copied.
func (n *nameList) set(i int, uidl []byte) {
	last := len(n.pieces) - 1
	if last < 0 || len(n.pieces[last])+len(uidl) > pieceSize {
		n.pieces = append(n.pieces, make([]byte, 0, pieceSize))
		last++
	}
	piece := &n.pieces[last]
	n.at[i], n.lengths[i] = uint32(last*pieceSize+len(*piece)), uint8(len(uidl))
	*piece = append(*piece, uidl...)
}

// setOther gives message i a name of our own.
func (n *nameList) setOther(i int, name string) { n.others[i] = name }

// unset takes its UIDL from message i.
func (n *nameList) unset(i int) { n.lengths[i] = 0 }

// uidl gives the UIDL of message i; it is empty where there is none.
func (n *nameList) uidl(i int) []byte {
	if n.lengths[i] == 0 {
		return nil
	}
	return n.pieces[n.at[i]/pieceSize][n.at[i]%pieceSize:][:n.lengths[i]]
}

// of gives the name of message i; it is empty where it has none yet.
func (n *nameList) of(i int) string {
	if n.lengths[i] == 0 {
		return n.others[i]
	}
	return string(n.uidl(i))
}

func (n *nameList) len() int { return len(n.at) }
