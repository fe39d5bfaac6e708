// Postcask moves mail to safety: POP3 and IMAP accounts into archives, archives into IMAP accounts, server to server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"postcask/migrate"
)

// What lives long is little, so collecting its garbage more often costs next to nothing and holds memory down.
const garbage = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr, askOnTerminal))
}

// execute runs the command that args name and gives the exit status.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer, ask func(context.Context, string) (string, error)) (status int) {
	term := &terminal{stdout: stdout, stderr: stderr, color: "auto"}
	defer term.close()
	defer func() {
		if fault := recover(); fault != nil {
			stack := debug.Stack()
			if elsewhere, ok := fault.(*migrate.Panic); ok {
				stack = elsewhere.Stack
			}
			status = term.fault(fault, stack)
		}
	}()
	ctx, interrupts := catchSignals(ctx, term)
	defer interrupts.release()
	started := false
	c := &cli{term: term, interrupts: interrupts, ask: ask}
	defer c.close()
	root := c.rootCommand(func() { started = true })
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !started && migrate.KindOf(err) == migrate.Failed {
		err = &migrate.Error{Kind: migrate.Misuse, Err: err} // what cobra did not understand
	}
	if ended := ctx.Err(); ended != nil && err != nil && !errors.As(err, new(verdict)) && !errors.As(err, new(told)) {
		err = ended // whatever an interrupt broke
	}
	status = exitStatus(err)
	if err == nil || errors.As(err, new(verdict)) || errors.As(err, new(told)) {
		return status
	}
	if term.json {
		term.object(errorLine{Type: "error", Exit: status, Message: errorText(err), Hint: migrate.HintOf(err)})
	}
	term.fail(err, migrate.HintOf(err))
	return status
}

// fault tells of a fault of the program in one line; where it happened goes to the log file.
func (t *terminal) fault(fault any, stack []byte) int {
	hint := "whatever was reported as done is safe; run again with --log-file FILE and send the file with a report"
	if t.logOut != nil {
		fmt.Fprintf(t.logOut, "panic: %v\n%s\n", fault, stack)
		hint = "whatever was reported as done is safe; the log file tells where it happened"
	}
	err := fmt.Errorf("a fault in postcask itself: %v", fault)
	if t.json {
		t.object(errorLine{Type: "error", Exit: exitFailed, Message: err.Error(), Hint: hint})
	}
	t.fail(err, hint)
	return exitFailed
}
