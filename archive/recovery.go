package archive

import (
	"fmt"
	"strings"
)

// A Recovery tells what Open for writing found amiss and put right.
type Recovery struct {
	CutOff     bool // the last run did not end in order
	Unfinished int  // files that were still being written: removed
	SetAside   int  // files, and stretches of mbox files, that no message of the index names: in the quarantine
	TakenUp    int  // whole messages that the index did not name: it does now
	Lost       int  // messages whose octets are gone: the index names them no more, so that they are fetched again
}

// String tells it in one line, or gives "" where there is nothing to tell.
func (r Recovery) String() string {
	var parts []string
	add := func(n int, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, many))
		}
	}
	add(r.Lost, "message is gone from the disk, and is fetched again if its source still has it",
		"messages are gone from the disk, and are fetched again if their source still has them")
	add(r.TakenUp, "message that the index did not name was taken up", "messages that the index did not name were taken up")
	add(r.SetAside, "piece of mail that no message names was set aside in "+ownDir+"/"+quarantineDir,
		"pieces of mail that no message names were set aside in "+ownDir+"/"+quarantineDir)
	add(r.Unfinished, "unfinished file was removed", "unfinished files were removed")
	if len(parts) == 0 {
		return ""
	}
	why := "the archive was not as the index has it: "
	if r.CutOff {
		why = "the last run was cut off: "
	}
	return why + strings.Join(parts, "; ")
}

// Recovered tells what was amiss when the archive was opened for writing, and has been put right.
func (a *Archive) Recovered() Recovery {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.recovered
}

// setAsideOne counts a piece that went to the quarantine.
func (a *Archive) setAsideOne() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.recovered.SetAside++
}
