package redis

import (
	"fmt"
	"strconv"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// segmentList is the list of a shard's segments of ids: as this process last saw it, and as a
// call changes it. A script takes the change only if the server has what was seen.
type segmentList struct {
	from string // encoded
	to   eventlog.Segments
	gone []uint32 // segments to be forgotten
}

// changing returns the cached list of a shard, without the segments whose time is over at now.
func (l *Log) changing(shard string, now plan.EventTime) (segmentList, error) {
	l.mu.Lock()
	from := l.lists[shard]
	l.mu.Unlock()
	to, err := eventlog.DecodeSegments([]byte(from))
	if err != nil {
		return segmentList{}, err
	}
	return segmentList{from: from, gone: to.Forget(now), to: to}, nil
}

func (s *segmentList) changed() bool { return string(s.to.Encode()) != s.from }

// appendArgs appends the arguments of a script: both lists, the segments, and those to be forgotten.
func (s *segmentList) appendArgs(args []string) []string {
	args = append(args, s.from, string(s.to.Encode()), strconv.Itoa(len(s.to.List)))
	for i := len(s.to.List) - 1; i >= 0; i-- { // most ids are found in the newest
		args = append(args, segmentText(s.to.List[i].Number))
	}
	args = append(args, strconv.Itoa(len(s.gone)))
	for _, number := range s.gone {
		args = append(args, segmentText(number))
	}
	return args
}

// stale reports whether a script changed nothing because the cached list or ids were not current, and
// updates them; otherwise it caches the changed list.
func (l *Log) stale(shard string, list *segmentList, ids storedIDs, answer, sent []string) bool {
	current, stale := string(list.to.Encode()), false
	if len(answer) == 2 && answer[0] == "list" {
		current, stale = answer[1], true
	} else if ids.learn(answer, sent) {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lists[shard] = current
	return stale
}

func segmentText(number uint32) string {
	if number == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(number), 10)
}

func segmentNumber(text string) (uint32, error) {
	if text == "" {
		return 0, nil
	}
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("an id is in segment %q: %w", text, eventlog.ErrDamaged)
	}
	return uint32(number), nil
}
