package registry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/onlinestore"
)

// DeadLetter says what is missing from the state of a generation, and why: an event that exceeds a
// limit, or an entity whose state could not be stored from that event on. The event stays in the
// log. Dead letters are deleted with their generation.
type DeadLetter struct {
	Shard    int            // of the log of the view's source
	Position uint64         // in that shard; 0: the entity was set aside when the view was materialized
	At       plan.EventTime // when it was set aside
	Entity   []byte         // its key, truncated to letterEntity bytes; nil for an event without an entity
	Reason   string
}

const (
	letterPrefix = 'd'
	letterFormat = 1
	// letterEntity is the number of bytes of an entity key that a letter stores.
	letterEntity = 1 << 10
	// positionBits is how many bits a position has in the key of a letter, below those of the shard.
	positionBits = 56
	letterHash   = 16 // bytes of the hash of the entity key in the letter's key
)

// letters returns the prefix of the keys of the generation's dead letters.
func (g Generation) letters() []byte {
	b := g.Prefix()
	b[0] = letterPrefix
	return b
}

var errLetter = errors.New("registry: a dead letter is damaged; materialize the view again")

// LetterKey returns the key under which a dead letter is stored when a generation is loaded. There
// is at most one letter for each entity, shard and position. The highest byte of the position is the shard.
func (g Generation) LetterKey(l DeadLetter) []byte {
	entity := sha256.Sum256(l.Entity)
	return append(binary.BigEndian.AppendUint64(g.letters(), uint64(l.Shard)<<positionBits|l.Position), entity[:letterHash]...)
}

// Value encodes the letter: revision 1, format, time, length and bytes of the entity key, reason.
func (l DeadLetter) Value() []byte {
	b := binary.BigEndian.AppendUint64(nil, 1)
	b = append(b, letterFormat)
	b = binary.BigEndian.AppendUint64(b, uint64(l.At))
	entity := l.Entity[:min(len(l.Entity), letterEntity)]
	b = binary.AppendUvarint(b, uint64(len(entity)))
	b = append(b, entity...)
	return append(b, l.Reason...)
}

func decodeLetter(key, b []byte) (DeadLetter, error) {
	if len(key) != prefixLen+8+letterHash || len(b) < 18 || b[8] != letterFormat {
		return DeadLetter{}, errLetter
	}
	n, used := binary.Uvarint(b[17:])
	rest := b[17+max(used, 0):]
	if used <= 0 || n > uint64(len(rest)) {
		return DeadLetter{}, errLetter
	}
	place := binary.BigEndian.Uint64(key[prefixLen:])
	l := DeadLetter{Shard: int(place >> positionBits), Position: place & (1<<positionBits - 1), At: plan.EventTime(binary.BigEndian.Uint64(b[9:])), Reason: string(rest[n:])}
	if n > 0 {
		l.Entity = slices.Clone(rest[:n])
	}
	return l, nil
}

// SetAside stores dead letters of g. It does not change those that are already stored.
func SetAside(ctx context.Context, store onlinestore.Store, g Generation, letters []DeadLetter) error {
	writes := make([]onlinestore.Write, len(letters))
	for i, l := range letters {
		writes[i] = onlinestore.Write{Key: g.LetterKey(l), Expect: onlinestore.Absent, Value: l.Value()}
	}
	if _, err := store.Swap(ctx, writes); err != nil {
		return fmt.Errorf("record dead letters of %s: %w", g.View.Short(), err)
	}
	return nil
}

// lostPrefix begins the reason of a letter of an entity whose state is lost.
const lostPrefix = "lost: "

// repairedPrefix begins the reason of such a letter once the state is back.
const repairedPrefix = "repaired at "

// Repaired reports whether nothing is missing any more.
func (l DeadLetter) Repaired() bool { return strings.HasPrefix(l.Reason, repairedPrefix) }

// LostLetter is the letter of an entity whose state is lost, for the reason given, since a record of the log.
func LostLetter(shard int, position uint64, entity []byte, reason string) DeadLetter {
	return DeadLetter{Shard: shard, Position: position, Entity: entity, Reason: lostPrefix + reason}
}

// FoundAgain notes in the letters of lost entities whose states are back that they are. whole reports whether a stored state, which is nil if
// there is none, is a state of the generation.
func FoundAgain(ctx context.Context, store onlinestore.Store, g Generation, whole func(state []byte) bool, now plan.EventTime) error {
	letters, err := DeadLetters(ctx, store, g)
	if err != nil {
		return err
	}
	letters = slices.DeleteFunc(letters, func(l DeadLetter) bool { return !strings.HasPrefix(l.Reason, lostPrefix) })
	keys := make([][]byte, len(letters))
	for i, l := range letters {
		keys[i] = g.StateKey(l.Entity) // a key that is truncated has no state
	}
	states, err := store.Get(ctx, keys)
	if err != nil {
		return err
	}
	var writes []onlinestore.Write
	for i, l := range letters {
		if !whole(states[i]) {
			continue
		}
		key := g.LetterKey(l)
		l.Reason = fmt.Sprintf("%s%v; was %s", repairedPrefix, now, l.Reason)
		value := l.Value()
		binary.BigEndian.PutUint64(value, 2)
		writes = append(writes, onlinestore.Write{Key: key, Expect: 1, Value: value})
	}
	_, err = store.Swap(ctx, writes)
	return err
}

// DeadLetters returns the dead letters of g in the order of shards and positions.
func DeadLetters(ctx context.Context, store onlinestore.Store, g Generation) ([]DeadLetter, error) {
	var out []DeadLetter
	err := store.Scan(ctx, g.letters(), func(key, value []byte) error {
		l, err := decodeLetter(key, value)
		out = append(out, l)
		return err
	})
	// A scan may return a key twice while the store changes.
	slices.SortFunc(out, DeadLetter.compare)
	return slices.CompactFunc(out, func(a, b DeadLetter) bool { return a.compare(b) == 0 }), err
}

func (l DeadLetter) compare(m DeadLetter) int {
	return cmp.Or(cmp.Compare(l.Shard, m.Shard), cmp.Compare(l.Position, m.Position), bytes.Compare(l.Entity, m.Entity))
}
