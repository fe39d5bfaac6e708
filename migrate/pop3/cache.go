package pop3

// The cache holds what was read last to be named: cacheOctets in all, messages of up to keepOctets each. They are asked
// for right after, as a rule, and need no second RETR then.
const (
	cacheOctets = 8 << 20
	keepOctets  = 1 << 20
)

type cache struct {
	octets map[int][]byte // by number
	order  []int          // oldest first
	total  int
}

// kept collects a message as long as it is small enough.
type kept struct {
	octets []byte
	over   bool
}

func (c *cache) keep() *kept { return new(kept) }

// Write never fails.
func (k *kept) Write(p []byte) (int, error) {
	if len(k.octets)+len(p) > keepOctets {
		k.octets, k.over = nil, true
	}
	if !k.over {
		k.octets = append(k.octets, p...)
	}
	return len(p), nil
}

// put takes a message in, and lets the oldest go for it.
func (c *cache) put(number int, k *kept) {
	if k.over {
		return
	}
	if c.octets == nil {
		c.octets = map[int][]byte{}
	}
	c.octets[number] = k.octets
	c.order = append(c.order, number)
	c.total += cap(k.octets)
	for c.total > cacheOctets {
		oldest := c.order[0]
		c.total -= cap(c.octets[oldest])
		delete(c.octets, oldest)
		c.order = c.order[1:]
	}
}

func (c *cache) get(number int) ([]byte, bool) {
	octets, ok := c.octets[number]
	return octets, ok
}
