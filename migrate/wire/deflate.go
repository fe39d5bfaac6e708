package wire

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"postcask/migrate"
)

// Deflate compresses all that goes over the connection from here on, both ways, as raw deflate (RFC 1951) like RFC 4978
// wants it. Nothing may be on its way but ahead: what was received behind the server's consent, which is compressed
// already. Only a connection that is to upload spends memory and time on what it sends. A stream of the server's
// that is no deflate, or that grows beyond measure, ends the connection with an error of kind Unavailable, and no other
// connection over the same Link is compressed from then on.
func (c *Conn) Deflate(ahead []byte, upload bool) {
	d := &deflated{link: c.cfg.Link, raw: c.top}
	d.packed = &packed{r: io.MultiReader(bytes.NewReader(ahead), c.top)}
	d.in = flate.NewReader(bufio.NewReaderSize(d.packed, inflateBuffer))
	if !upload {
		d.trial = newTrial(c.socket)
	} else {
		d.buffer = bufio.NewWriterSize(c.top, deflateBuffer)
		d.out, _ = flate.NewWriter(d.buffer, deflateLevel) // the level is a valid one
	}
	c.top = d
	d.link.compresses(d.trial)
}

const (
	inflateBuffer = 16 << 10
	deflateBuffer = 16 << 10
	deflateLevel  = 4 // on mail 54 MB/s and 0.43 of the octets, with 0.8 MB of memory; level 1 has 0.53, level 6 has 0.42

	// Mail shrinks to a third or so, and deflate by a factor of 1032 at most. What grows by more than so much, once it
	// is so large, is sent to fill a disk; an honest server is asked for it again without compression.
	mostGrowth  = 200
	growsFreely = 64 << 20
)

// deflated is a connection with both directions compressed. One goroutine may read while another writes.
type deflated struct {
	link     *Link
	packed   *packed
	in       io.Reader
	inflated int64
	trial    *trial // nil where much is sent

	raw    io.Writer
	out    *flate.Writer // nil where hardly anything is sent
	buffer *bufio.Writer // below out, which writes in crumbs
}

// packed is what comes over the wire.
type packed struct {
	r      io.Reader
	octets int64
	ended  bool
}

func (p *packed) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.octets += int64(n)
	p.ended = p.ended || err == io.EOF
	return n, err
}

func (d *deflated) Read(p []byte) (int, error) {
	n, err := d.in.Read(p)
	d.inflated += int64(n)
	d.trial.judge(d.link, d.inflated)
	if err == nil && d.inflated > growsFreely && d.inflated/mostGrowth > d.packed.octets {
		err = fmt.Errorf("%d octets have become %d", d.packed.octets, d.inflated)
	} else if !isCorrupt(err) {
		if errors.Is(err, io.ErrUnexpectedEOF) && d.packed.ended {
			err = io.EOF // who hangs up seldom ends the stream before
		}
		return n, err
	}
	d.link.KeepPlain()
	return n, migrate.Errorf(migrate.Unavailable, "what the server sends compressed makes no sense: %w", err)
}

func isCorrupt(err error) bool {
	var corrupt flate.CorruptInputError
	var internal flate.InternalError
	return errors.As(err, &corrupt) || errors.As(err, &internal)
}

// Write sends all of p, and flushes: the server can read it to the last octet.
func (d *deflated) Write(p []byte) (int, error) {
	if d.out == nil {
		return d.store(p)
	}
	n, err := d.out.Write(p)
	if err == nil {
		err = d.out.Flush()
	}
	if err == nil {
		err = d.buffer.Flush()
	}
	return n, err
}

// store sends p as it is, in blocks that deflate has for that (RFC 1951, section 3.2.4): commands are few and short. An
// empty one behind it is what a flush looks like, for those who wait for that.
func (d *deflated) store(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		part := p[sent:min(len(p), sent+1<<16-1)]
		block := make([]byte, 1, 10+len(part))
		block = binary.LittleEndian.AppendUint16(block, uint16(len(part)))
		block = binary.LittleEndian.AppendUint16(block, ^uint16(len(part)))
		block = append(append(block, part...), 0, 0, 0, 0xff, 0xff)
		if _, err := d.raw.Write(block); err != nil {
			return sent, err
		}
		sent += len(part)
	}
	return sent, nil
}
