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
	Closed   *Closing // nil: nobody has dealt with it

	key      []byte // in the store; nil if it was not read from there
	revision uint64
}

// Closing says how a letter was dealt with.
type Closing struct {
	How LetterStatus // Replayed or Dropped
	At  plan.EventTime
	By  string // who dropped it
	Why string
}

// LetterStatus says whether something of a letter is to be done.
type LetterStatus uint8

// The statuses of letters.
const (
	Open     LetterStatus = 0
	Repaired LetterStatus = 1 // the state was lost and is back
	Replayed LetterStatus = 2 // what was missing is in the state
	Dropped  LetterStatus = 3 // a person has acknowledged that it is missing
)

func (s LetterStatus) String() string {
	return [...]string{"open", "repaired", "replayed", "dropped"}[s]
}

const (
	letterPrefix = 'd'
	letterFormat = 1
	closedFormat = 2 // of a letter that was replayed or dropped
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

// Value encodes a letter that is set aside: revision 1, format, time, length and bytes of the entity key, reason.
func (l DeadLetter) Value() []byte { return l.encode(1) }

func (l DeadLetter) encode(revision uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, revision)
	if l.Closed == nil {
		b = append(b, letterFormat)
	} else {
		b = append(b, closedFormat)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(l.At))
	if c := l.Closed; c != nil {
		b = append(b, byte(c.How))
		b = binary.BigEndian.AppendUint64(b, uint64(c.At))
		b = appendText(appendText(b, c.By), c.Why)
	}
	b = appendText(b, string(l.Entity[:min(len(l.Entity), letterEntity)]))
	return append(b, l.Reason...)
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// cutText returns the text at the beginning of b, and what follows it.
func cutText(b []byte) (text, rest []byte, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, nil, false
	}
	return b[used : used+int(n)], b[used+int(n):], true
}

func decodeLetter(key, b []byte) (DeadLetter, error) {
	if len(key) != prefixLen+8+letterHash || len(b) < 18 || b[8] != letterFormat && b[8] != closedFormat {
		return DeadLetter{}, errLetter
	}
	place := binary.BigEndian.Uint64(key[prefixLen:])
	l := DeadLetter{Shard: int(place >> positionBits), Position: place & (1<<positionBits - 1), At: plan.EventTime(binary.BigEndian.Uint64(b[9:])),
		key: bytes.Clone(key), revision: onlinestore.Revision(b)}
	rest := b[17:]
	if b[8] == closedFormat {
		if len(rest) < 9 || rest[0] != byte(Replayed) && rest[0] != byte(Dropped) {
			return DeadLetter{}, errLetter
		}
		l.Closed = &Closing{How: LetterStatus(rest[0]), At: plan.EventTime(binary.BigEndian.Uint64(rest[1:]))}
		by, more, ok := cutText(rest[9:])
		if !ok {
			return DeadLetter{}, errLetter
		}
		why, more, ok := cutText(more)
		if !ok {
			return DeadLetter{}, errLetter
		}
		l.Closed.By, l.Closed.Why, rest = string(by), string(why), more
	}
	entity, reason, ok := cutText(rest)
	if !ok {
		return DeadLetter{}, errLetter
	}
	if l.Reason = string(reason); len(entity) > 0 {
		l.Entity = bytes.Clone(entity)
	}
	return l, nil
}

// Status says whether something of the letter is to be done.
func (l DeadLetter) Status() LetterStatus {
	switch {
	case l.Closed != nil:
		return l.Closed.How
	case strings.HasPrefix(l.Reason, repairedPrefix):
		return Repaired
	}
	return Open
}

// Missing reports whether something is missing in the state, though a person may have acknowledged that.
func (l DeadLetter) Missing() bool { return l.Status() == Open || l.Status() == Dropped }

// Truncated reports whether the entity key of a letter that was read may be cut.
func (l DeadLetter) Truncated() bool { return len(l.Entity) == letterEntity }

// SetAside stores dead letters of g. It does not change those that are already stored.
func SetAside(ctx context.Context, store onlinestore.Store, g Generation, letters []DeadLetter) error {
	keys := make([][]byte, len(letters))
	for i, l := range letters {
		keys[i] = g.LetterKey(l)
	}
	stored, err := store.Get(ctx, keys)
	var writes []onlinestore.Write
	for i, l := range letters {
		if err == nil && stored[i] == nil {
			writes = append(writes, onlinestore.Write{Key: keys[i], Expect: onlinestore.Absent, Value: l.Value()})
		}
	}
	if err == nil {
		_, err = changeLetters(ctx, store, g, writes)
	}
	if err != nil {
		return fmt.Errorf("record dead letters of %s: %w", g.View.Short(), err)
	}
	return nil
}

// CloseLetters notes of letters that DeadLetters returned how they were dealt with. It returns which were still as they were read.
func CloseLetters(ctx context.Context, store onlinestore.Store, g Generation, letters []DeadLetter, how Closing) ([]bool, error) {
	writes := make([]onlinestore.Write, len(letters))
	for i, l := range letters {
		l.Closed = &how
		writes[i] = onlinestore.Write{Key: l.key, Expect: l.revision, Value: l.encode(l.revision + 1)}
	}
	done, err := changeLetters(ctx, store, g, writes)
	if err != nil {
		return nil, fmt.Errorf("close dead letters of %s: %w", g.View.Short(), err)
	}
	return done[:len(letters)], nil
}

// changesPrefix begins the key whose value changes with every change of the letters of a generation, so that whoever counts them
// looks at all of them only then. It is written with the letters; absent, there are none.
const changesPrefix = 'c'

func (g Generation) changesKey() []byte {
	b := g.Prefix()
	b[0] = changesPrefix
	return b
}

// LettersLoaded returns key and value of the record that the letters of a generation changed, for a generation that is loaded with letters.
func (g Generation) LettersLoaded() (key, value []byte) {
	return g.changesKey(), binary.BigEndian.AppendUint64(nil, 1)
}

// changeLetters writes letters, and that they changed.
func changeLetters(ctx context.Context, store onlinestore.Store, g Generation, writes []onlinestore.Write) (done []bool, err error) {
	if len(writes) == 0 {
		return nil, nil
	}
	for changed := false; !changed; {
		old, err := store.Get(ctx, [][]byte{g.changesKey()})
		if err != nil {
			return nil, err
		}
		revision := onlinestore.Revision(old[0])
		these, err := store.Swap(ctx, append(writes, onlinestore.Write{Key: g.changesKey(), Expect: revision, Value: binary.BigEndian.AppendUint64(nil, revision+1)}))
		if err != nil {
			return nil, err
		}
		if done == nil {
			done = these
		}
		changed, writes = these[len(these)-1], nil // another change may have been counted before the letters of this one were there
	}
	return done, nil
}

// OpenLetters is how many letters of a generation are open, as they were at a change of them.
type OpenLetters struct {
	Generation Generation
	Changes    uint64
	Open       int64
}

// CountOpen counts the open letters of g. It scans them only if they have changed since before was counted.
func CountOpen(ctx context.Context, store onlinestore.Store, g Generation, before OpenLetters) (OpenLetters, error) {
	stored, err := store.Get(ctx, [][]byte{g.changesKey()})
	if err != nil {
		return OpenLetters{}, err
	}
	now := OpenLetters{Generation: g, Changes: onlinestore.Revision(stored[0])}
	if now.Changes == onlinestore.Absent {
		return now, nil
	}
	if before.Generation == g && before.Changes == now.Changes {
		return before, nil
	}
	letters, err := DeadLetters(ctx, store, g)
	for _, l := range letters {
		if l.Status() == Open {
			now.Open++
		}
	}
	return now, err
}

// lostPrefix begins the reason of a letter of an entity whose state is lost.
const lostPrefix = "lost: "

// repairedPrefix begins the reason of such a letter once the state is back.
const repairedPrefix = "repaired at "

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
	letters = slices.DeleteFunc(letters, func(l DeadLetter) bool { return l.Closed != nil || !strings.HasPrefix(l.Reason, lostPrefix) })
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
		l.Reason = fmt.Sprintf("%s%v; was %s", repairedPrefix, now, l.Reason)
		writes = append(writes, onlinestore.Write{Key: l.key, Expect: l.revision, Value: l.encode(l.revision + 1)})
	}
	_, err = changeLetters(ctx, store, g, writes)
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
