// Command unskew validates feature definitions, builds training sets, keeps
// online state and serves it. Each command is a file of its own; run unskew help.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/internal/version"
)

// Exit codes, the same for every command.
const (
	exitOK       = 0
	exitFindings = 1 // it ran and found something wrong: definitions, rows, differences
	exitFailed   = 2 // it could not run, or not to the end
)

// findings is an error whose details have already been printed.
type findings struct{ summary string }

func (f *findings) Error() string { return f.summary }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process immediately
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var found *findings
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &found):
		if found.summary != "" {
			fmt.Fprintln(root.ErrOrStderr(), found.summary)
		}
		return exitFindings
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(root.ErrOrStderr(), "unskew: interrupted")
		return exitFailed
	default:
		fmt.Fprintln(root.ErrOrStderr(), "unskew:", err)
		return exitFailed
	}
}

// options are the flags common to all commands.
type options struct {
	project string
	json    bool
	quiet   bool
}

func newRoot() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:   "unskew",
		Short: "A feature store in which training and serving cannot disagree",
		Long: `Unskew computes every feature from one definition with one kernel, for training and
for serving, and proves that the two agree to the last bit.

A project is a folder with unskew.yaml and definitions under features/. Commands
work on the project in the current folder, or in the folder given by -C.

Exit codes: 0 success; 1 the command ran and found something wrong with definitions, tests,
pushed rows, parity or, with train --strict, a training set; 2 it could not run or did not
finish.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version.Text(),
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, c.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&o.project, "project", "C", ".", "use the project in `DIR`")
	flags.BoolVar(&o.json, "json", false, "print results as JSON on standard output")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "do not show progress")
	completeFlag(root, "project", directories)
	root.AddCommand(
		newInit(o), newConfig(o), newList(o), newShow(o), newLineage(o), newValidate(o), newTest(o), newTrain(o), newMaterialize(o), newPush(o),
		newServe(o), newToken(o), newGet(o), newExplain(o), newParity(o), newSuggest(o), newRepair(o), newLog(o), newGC(o), newDemo(o),
	)
	return root
}
