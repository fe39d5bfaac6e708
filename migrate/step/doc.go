// Package step marks the points at which a process may end between two writes. In an ordinary build Done does nothing. A
// build with the tag "steps" counts the calls and, at the one that POSTCASK_STOP_AT_STEP names by its number from 1,
// ends the process with SIGKILL, so that a test can stop a run behind every step of its journal and see what the next
// run makes of it.
package step
