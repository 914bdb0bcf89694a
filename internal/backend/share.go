package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/pebbledir"
	"github.com/unskew/unskew/internal/storehost"
)

// HostedError says that a server has the embedded store open, which this process wanted for itself.
type HostedError struct {
	Dir  string
	Host storehost.Info
}

// Error names the server.
func (e *HostedError) Error() string {
	return fmt.Sprintf("directory %s is in use by %s (process %d); stop that one first, or keep log and store on Redis, which servers share", e.Dir, e.Host.Command, e.Host.PID)
}

// OpenAlone is Open with the machine's clock for a process that serves, and so must have the embedded log and store for itself: if another
// server has them, it returns a *HostedError.
func (c Config) OpenAlone(ctx context.Context) (*Backend, error) {
	c.Patience = startPatience
	b, err := c.Open(ctx, nil)
	if err == nil && b.host != nil {
		err = errors.Join(&HostedError{c.Dir, *b.host}, b.Close())
		return nil, err
	}
	return b, err
}

// HostEnded returns an error that says so if the log and the store were shared by a server that has ended.
func (b *Backend) HostEnded(ctx context.Context) error {
	if b.host == nil {
		return nil
	}
	if _, err := b.Log.Begun(ctx, "any"); errors.Is(err, storehost.ErrNoHost) {
		return err
	}
	return nil
}

// Share lets other processes of this user open an embedded log and store that this process has open, while run runs. command describes
// this process to them. For other logs and stores run is nil.
func (b *Backend) Share(command string) (run func(context.Context) error, err error) {
	if b.dir == "" || b.host != nil {
		return nil, nil
	}
	log := b.Log
	if b.Archive != nil {
		log = b.Archive.Log // those who join read the archive themselves
	}
	h, err := storehost.New(b.dir, command, log, b.Store)
	if err != nil {
		return nil, err
	}
	return h.Run, nil
}

// Open looks again after pollFirst, then less often, at most every pollLast.
const (
	pollFirst = 10 * time.Millisecond
	pollLast  = 500 * time.Millisecond
	// startPatience is how long a server waits for a command to end.
	startPatience = 10 * time.Second
	// quietWait is how long Open waits before it says so; most commands end sooner.
	quietWait = time.Second
)

// TellWaiting is a Config.Waiting that writes to w.
func TellWaiting(w io.Writer) func(dir string) {
	return func(dir string) {
		fmt.Fprintf(w, "waiting for another process to end, which has the directory %s open and does not share it\n", dir)
	}
}

// openOrJoin opens the embedded log and store, or joins the process that shares them. While a process has them that does not, it waits.
// With a simulated clock it does neither, since the others have another one.
func (c Config) openOrJoin(ctx context.Context, clock eventlog.Clock) (*Backend, error) {
	began, told := time.Now(), false
	var over <-chan time.Time
	if c.Patience > 0 {
		over = time.After(c.Patience)
	}
	for pause := pollFirst; ; pause = min(2*pause, pollLast) {
		b, err := openEmbedded(c.Dir, nil, clock)
		locked := (*pebbledir.LockedError)(nil)
		if clock != nil || !errors.As(err, &locked) {
			return b, err
		}
		b, dialErr := c.join(ctx)
		if dialErr == nil || !errors.Is(dialErr, storehost.ErrNoHost) {
			return b, dialErr
		}
		if !told && time.Since(began) > quietWait && c.Waiting != nil {
			c.Waiting(c.Dir)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-over:
			return nil, err
		case <-time.After(pause):
		}
	}
}

// join returns what a host shares.
func (c Config) join(ctx context.Context) (*Backend, error) {
	client, err := storehost.Dial(ctx, c.Dir)
	if err != nil {
		return nil, err
	}
	return &Backend{Log: client.Log, Store: client.Store, host: &client.Host}, nil
}
