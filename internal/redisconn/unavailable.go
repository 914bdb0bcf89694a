package redisconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// lateError says that a server has not answered within a time limit.
type lateError struct{ limit time.Duration }

func (e *lateError) Error() string { return fmt.Sprintf("no answer within %v", e.limit) }

// notNow are the first words of the answers by which a server says that it cannot do now what it
// may do later.
var notNow = []string{"LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY", "READONLY", "NOREPLICAS", "MISCONF", "OOM"}

// Unavailable reports whether a call failed, after Cause, because the server cannot be reached, does
// not answer in time or cannot do its work at present. It is false if the caller's context has ended.
func Unavailable(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var answer *rueidis.RedisError
	if errors.As(err, &answer) {
		word, _, _ := strings.Cut(answer.Error(), " ")
		// A script is refused so while its slot moves to another server of a cluster.
		return slices.Contains(notNow, word) || strings.Contains(answer.Error(), "non local key")
	}
	var network net.Error
	var late *lateError
	var open *openError
	return errors.As(err, &network) || errors.As(err, &late) || errors.As(err, &open) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, rueidis.ErrClosing)
}
