package redis

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/redisconn"
)

// The script, and its digest for EVALSHA.
var (
	//go:embed swap.lua
	swapSource string
	swapDigest = digest(swapSource)
)

func digest(script string) string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}

// Swap implements onlinestore.Store with one script call for each write, all in one round trip.
func (s *Store) Swap(ctx context.Context, writes []onlinestore.Write) ([]bool, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.conn.Gate.Leave()
	if err := onlinestore.CheckWrites(writes); err != nil {
		return nil, err
	}
	if len(writes) == 0 {
		return nil, nil
	}
	ctx, cancel := s.conn.Bound(ctx)
	defer cancel()
	answers := s.swap(ctx, writes)
	if w := s.watched.Load(); w != nil {
		w.wrote(writes)
	}
	swapped := make([]bool, len(writes))
	var failed error
	for i, answer := range answers {
		n, err := answer.AsInt64()
		if err != nil && (failed == nil || redisconn.Refused(failed)) {
			failed = err
		}
		swapped[i] = n == 1
	}
	if failed != nil {
		return nil, writeError(fmt.Sprintf("swap %d keys", len(writes)), cause(ctx, failed))
	}
	return swapped, nil
}

// swap sends the writes. If a server does not have the script yet, and so did nothing, their
// writes are sent again with the script.
func (s *Store) swap(ctx context.Context, writes []onlinestore.Write) []rueidis.RedisResult {
	commands := make(rueidis.Commands, len(writes))
	for i, w := range writes {
		commands[i] = s.conn.B().Evalsha().Sha1(swapDigest).Numkeys(1).Key(s.key(w.Key)).Arg(swapArgs(w)...).Build()
	}
	answers := s.conn.DoMulti(ctx, commands...)
	var again []int
	for i, answer := range answers {
		if refusal, ok := rueidis.IsRedisErr(answer.Error()); ok && refusal.IsNoScript() {
			again = append(again, i)
		}
	}
	if len(again) == 0 {
		return answers
	}
	resent := make(rueidis.Commands, 0, len(again))
	for _, i := range again {
		resent = append(resent, s.conn.B().Eval().Script(swapSource).Numkeys(1).Key(s.key(writes[i].Key)).Arg(swapArgs(writes[i])...).Build())
	}
	for n, answer := range s.conn.DoMulti(ctx, resent...) {
		answers[again[n]] = answer
	}
	return answers
}

func swapArgs(w onlinestore.Write) []string {
	expect := ""
	if w.Expect != onlinestore.Absent {
		expect = string(binary.BigEndian.AppendUint64(nil, w.Expect))
	}
	return []string{expect, string(w.Value)}
}

// cause is redisconn.Cause, with errors of the contract.
func cause(ctx context.Context, err error) error {
	if err = redisconn.Cause(ctx, err); redisconn.Unavailable(err) {
		return fmt.Errorf("%w: %w", onlinestore.ErrUnavailable, err)
	}
	return err
}

// writeError makes the error of a failed write, which says whether its outcome is known.
func writeError(what string, err error) error {
	if redisconn.Refused(err) {
		return fmt.Errorf("%s: redis refused: %w", what, err)
	}
	return fmt.Errorf("%s: the request was sent and not answered (%w): %w", what, err, onlinestore.ErrOutcomeUnknown)
}
