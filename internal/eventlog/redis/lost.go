package redis

import "github.com/unskew/unskew/internal/eventlog"

// known is up to where a shard has records, as far as this process has seen. A later answer with less than what was known when it was
// asked for is that of an older copy.
func (l *Log) known(shard string) eventlog.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ends[shard]
}

// saw notes that a shard ends at a position, or ended there before the next record if it was appended now. before is what was known when
// the server was asked. The error is a *eventlog.LostError from the first contradiction on.
func (l *Log) saw(shard string, before, end eventlog.Position) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if end < before && l.lost[shard] == nil {
		l.lost[shard] = &eventlog.LostError{Shard: shard, Had: before, Found: end}
	}
	l.ends[shard] = max(l.ends[shard], end)
	if lost := l.lost[shard]; lost != nil {
		return lost
	}
	return nil
}

// appended notes the positions that an append was given, which are higher than all before.
func (l *Log) appended(shard string, before eventlog.Position, results []eventlog.Result) {
	var first, last eventlog.Position
	for _, r := range results {
		if r.Outcome != eventlog.Appended && r.Outcome != eventlog.Filled {
			continue
		}
		if first == 0 || r.Position < first {
			first = r.Position
		}
		last = max(last, r.Position)
	}
	if first == 0 {
		return
	}
	// What was stored is acknowledged; whoever asks for the end hears of the loss.
	_ = l.saw(shard, before, first-1)
	_ = l.saw(shard, 0, last)
}
