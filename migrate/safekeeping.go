package migrate

import (
	"context"
	"errors"
)

// A safekeeper makes the groups of one carry safe, in their order. Where the lane is alone it does so beside it: the next
// group is read, and given to a second sink, while the disk is busy with the one before.
type safekeeper struct {
	l       *lane
	w       *work
	beside  bool
	inHand  int64         // cost of the group that is being written
	rest    int64         // cost of what is still to come, as announced
	done    chan struct{} // closed when the group in work is safe, or is not to be; nil for none
	err     error         // of that group
	outcome               // of the groups before
	others  []Key         // settled otherwise, while a group is in work
}

// lastGroup is the cost of a group that the disk is done with soon.
const lastGroup = 4 << 20

// tapers notes that m was written, and tells whether the group ends here, since what is to come is no more and the disk has
// nothing to do: the last groups get smaller and smaller, so that little is left at the end that has to be waited for.
func (k *safekeeper) tapers(m Message) bool {
	k.inHand, k.rest = k.inHand+costOf(m), k.rest-costOf(m)
	return k.beside && k.rest > 0 && k.inHand >= max(k.rest, lastGroup) && k.idle()
}

// idle tells whether no group is in work.
func (k *safekeeper) idle() bool {
	if k.done == nil {
		return true
	}
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

// keep makes a group safe that lies in the lane's sink. It is known after wait, or after the next keep, whether it is.
func (k *safekeeper) keep(ctx context.Context, group []Message) error {
	k.inHand = 0
	if !k.beside {
		return k.finish(ctx, group)
	}
	if err := k.wait(); err != nil || len(group) == 0 {
		return err
	}
	sink, done := k.l.sink, make(chan struct{})
	k.done, k.err = done, Errorf(Failed, "internal error")
	go func() {
		defer close(done)
		defer k.l.rescue()
		k.err = k.commit(ctx, sink, group)
	}()
	k.l.sink, k.l.spare = k.l.spare, sink
	return k.l.openSink(ctx)
}

// finish is keep for the last group: it waits until all is safe.
func (k *safekeeper) finish(ctx context.Context, group []Message) error {
	if err := k.wait(); err != nil {
		return err
	}
	return k.commit(ctx, k.l.sink, group)
}

// wait waits for the group in work, if there is one.
func (k *safekeeper) wait() error {
	if k.done == nil {
		return nil
	}
	<-k.done
	k.done = nil
	return k.err
}

// settle adds messages that are settled without the sink.
func (k *safekeeper) settle(keys ...Key) { k.others = append(k.others, keys...) }

// end gives what has become of all, once nothing is in work any more.
func (k *safekeeper) end(err error) (outcome, error) {
	if kept := k.wait(); err == nil || kept != nil && errors.Is(err, errHalted) {
		err = kept // who stops asks for nothing; who cannot keep mail safe has to say so
	}
	k.settled = append(k.settled, k.others...)
	return k.outcome, err
}

func (k *safekeeper) commit(ctx context.Context, sink Sink, group []Message) error {
	o, err := k.l.commit(ctx, k.w, sink, group)
	k.settled, k.refused, k.again = append(k.settled, o.settled...), append(k.refused, o.refused...), append(k.again, o.again...)
	return err
}
