package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

var (
	//go:embed repair.lua
	repairSource string
	repairScript = rueidis.NewLuaScript(repairSource)

	//go:embed forget.lua
	forgetSource string
	forgetScript = rueidis.NewLuaScript(forgetSource)

	//go:embed recount.lua
	recountSource string
	recountScript = rueidis.NewLuaScript(segmentsSource + recountSource)
)

var _ eventlog.Repairing = (*Log)(nil)

var errNoHead = errors.New("its head is missing, which says what was appended and trimmed: restore Redis from a copy")

// Repair implements eventlog.Repairing. A stream takes no records before its last one, so that of a shard that has lost some is
// written anew beside, which takes as much memory again until it is in place. Nothing is appended to such a shard meanwhile.
func (l *Log) Repair(ctx context.Context, shard string, how eventlog.RepairOptions) (eventlog.Damage, error) {
	if err := eventlog.CheckShard(shard); err != nil {
		return eventlog.Damage{}, err
	}
	if err := l.enter(ctx); err != nil {
		return eventlog.Damage{}, err
	}
	defer l.conn.Gate.Leave()
	r := &repairing{Log: l, shard: shard, k: l.keys(shard), how: how}
	if err := r.run(ctx); err != nil {
		return r.survey.Damage, fmt.Errorf("repair shard %q: %w", shard, err)
	}
	return r.survey.Damage, nil
}

type repairing struct {
	*Log
	shard  string
	k      keys
	how    eventlog.RepairOptions
	survey *eventlog.Survey

	head    map[string]string
	list    eventlog.Segments
	records int64 // in the stream
}

func (r *repairing) run(ctx context.Context) error {
	r.survey = eventlog.NewSurvey(eventlog.Trimmed{})
	if err := r.readHead(ctx); err != nil || len(r.head) == 0 {
		return err
	}
	trimmed, err := decodeTrimmed(r.head["trimmed"])
	if err != nil {
		return err
	}
	end := uint64(0)
	if text := r.head["end"]; text != "" {
		if end, err = strconv.ParseUint(text, 10, 64); err != nil {
			return fmt.Errorf("the end is %q: %w", text, eventlog.ErrDamaged)
		}
	}
	r.survey = eventlog.NewSurvey(trimmed)
	if err := r.eachRecord(ctx, func(p eventlog.Position, rec eventlog.Record, _ rueidis.XRangeSlice, err error) error {
		r.records++
		r.survey.Found(p, rec.Appended, rec.Payload, err)
		return nil
	}); err != nil {
		return err
	}
	r.survey.EndsAt(eventlog.Position(end))
	if err := r.eachID(ctx, func(_ uint32, _, _ string, seen eventlog.Seen, err error) error {
		if err != nil {
			return nil // it is counted later
		}
		return r.survey.Named(&seen)
	}); err != nil {
		return err
	}
	if len(r.survey.Lost) > 0 && r.how.Change {
		if err := r.rewrite(ctx); err != nil {
			return err
		}
	}
	if err := r.forget(ctx); err != nil {
		return err
	}
	return r.recount(ctx)
}

// readHead reads the head. Without one, the shard is empty, or it is an error.
func (r *repairing) readHead(ctx context.Context) (err error) {
	bound, cancel := r.conn.Bound(ctx)
	defer cancel()
	answers := r.conn.DoMulti(bound, r.conn.B().Hgetall().Key(r.k.head).Build(), r.conn.B().Exists().Key(r.k.events).Build(), r.conn.B().Exists().Key(r.k.ids).Build())
	if r.head, err = answers[0].AsStrMap(); err != nil {
		return cause(bound, err)
	}
	for _, a := range answers[1:] {
		n, err := a.AsInt64()
		switch {
		case err != nil:
			return cause(bound, err)
		case n > 0 && len(r.head) == 0:
			return errNoHead
		}
	}
	r.list, err = eventlog.DecodeSegments([]byte(r.head["segments"]))
	return err
}

// eachRecord calls f with all that is in the stream, in order; err says that it is no record.
func (r *repairing) eachRecord(ctx context.Context, f func(p eventlog.Position, rec eventlog.Record, stored rueidis.XRangeSlice, err error) error) error {
	var pages eventlog.Paging
	for after := eventlog.Position(0); ; {
		bound, cancel := r.conn.Bound(ctx)
		page, err := r.conn.Do(bound, r.rangeCommand(r.shard, after, pages.Next(1<<20))).AsXRangeSlices()
		err = cause(bound, err)
		cancel()
		if err != nil || len(page) == 0 {
			return err
		}
		read := make([]eventlog.Record, 0, len(page))
		for _, stored := range page {
			n, err := strconv.ParseUint(strings.TrimPrefix(stored.ID, "0-"), 10, 64)
			if err != nil {
				return fmt.Errorf("a record has the stream id %s: %w", stored.ID, eventlog.ErrDamaged)
			}
			after = eventlog.Position(n)
			rec, err := decodeRecord(stored, after)
			if err == nil && len(stored.FieldValues) < 3 {
				err = eventlog.ErrDamaged
			}
			read = append(read, rec)
			if err := f(after, rec, stored, err); err != nil {
				return err
			}
		}
		pages.Read(read)
	}
}

// eachID calls f with every id and its stored value, and an error if it cannot be read. An id may come twice.
func (r *repairing) eachID(ctx context.Context, f func(segment uint32, id, value string, seen eventlog.Seen, err error) error) error {
	numbers := []uint32{0}
	for _, g := range r.list.List {
		numbers = append(numbers, g.Number)
	}
	for _, number := range numbers {
		for cursor, more := uint64(0), true; more; more = cursor != 0 {
			bound, cancel := r.conn.Bound(ctx)
			page, err := r.conn.Do(bound, r.conn.B().Hscan().Key(r.segmentKey(number)).Cursor(cursor).Count(scanIDs).Build()).AsScanEntry()
			err = cause(bound, err)
			cancel()
			if err != nil {
				return err
			}
			cursor = page.Cursor
			for i := 0; i+1 < len(page.Elements); i += 2 {
				id, value := page.Elements[i], page.Elements[i+1]
				seen, _, found, err := storedIDs{id: {value: value}}.seen(id)
				if err == nil && !found {
					err = eventlog.ErrDamaged
				}
				if err := f(number, id, value, seen, err); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *repairing) segmentKey(number uint32) string {
	if number == 0 {
		return r.k.ids
	}
	return r.k.ids + ":" + segmentText(number)
}

// rewriteBytes is about how many bytes of records are written at a time.
const rewriteBytes = 4 << 20

// rewrite writes the stream anew, with records without events in the gaps, and puts it in place of the one before.
func (r *repairing) rewrite(ctx context.Context) error {
	to := r.k.events + ":repaired"
	if err := r.do(ctx, r.conn.B().Unlink().Key(to).Build()); err != nil {
		return err
	}
	w := &streamWriter{repairing: r, ctx: ctx, to: to}
	gaps := r.survey.Lost
	lost := eventlog.LostEntry()
	marks := func(before eventlog.Position) error {
		for ; len(gaps) > 0 && gaps[0].First < before; gaps = gaps[1:] {
			for p := gaps[0].First; p <= gaps[0].Last; p++ {
				if err := w.add(p, gaps[0].At, []string{"t", encodeTime(gaps[0].At), "i", "", "p", string(lost.Payload)}); err != nil {
					return err
				}
			}
		}
		return nil
	}
	err := r.eachRecord(ctx, func(p eventlog.Position, rec eventlog.Record, stored rueidis.XRangeSlice, err error) error {
		if markErr := marks(p + 1); markErr != nil || err != nil || r.survey.Lost.Has(p) {
			return markErr
		}
		var fields []string
		for _, f := range stored.FieldValues {
			fields = append(fields, f.Field, f.Value)
		}
		return w.add(p, rec.Appended, fields)
	})
	if err == nil {
		err = marks(r.survey.End + 1)
	}
	if err == nil {
		err = w.flush()
	}
	if err != nil {
		return errors.Join(err, r.do(context.WithoutCancel(ctx), r.conn.B().Unlink().Key(to).Build()))
	}
	done, err := r.write(ctx, repairScript, []string{r.k.events, to, r.k.head}, []string{r.head["end"], r.head["trimmed"], strconv.FormatInt(r.records, 10),
		strconv.FormatUint(uint64(r.survey.End), 10), encodeTime(w.last)}).AsInt64()
	if err != nil {
		return writeError("repair", r.shard, err)
	}
	if done == 0 {
		return errors.New("the shard changed meanwhile; nothing was changed: run the command again")
	}
	return nil
}

func (r *repairing) do(ctx context.Context, c rueidis.Completed) error {
	bound, cancel := r.conn.Bound(ctx)
	defer cancel()
	return cause(bound, r.conn.Do(bound, c).Error())
}

// streamWriter adds records to a stream, many in one round trip.
type streamWriter struct {
	*repairing
	ctx     context.Context
	to      string
	waiting rueidis.Commands
	bytes   int
	last    plan.EventTime // of the last record
}

func (w *streamWriter) add(p eventlog.Position, at plan.EventTime, fields []string) error {
	w.waiting = append(w.waiting, w.conn.B().Arbitrary("XADD").Keys(w.to).Args(streamID(p)).Args(fields...).Build())
	for _, f := range fields {
		w.bytes += len(f)
	}
	if w.last = at; w.bytes < rewriteBytes && len(w.waiting) < scanIDs {
		return nil
	}
	return w.flush()
}

func (w *streamWriter) flush() error {
	bound, cancel := w.conn.Bound(w.ctx)
	defer cancel()
	for _, a := range w.conn.DoMulti(bound, w.waiting...) {
		if err := a.Error(); err != nil {
			return cause(bound, err)
		}
	}
	w.waiting, w.bytes = nil, 0
	return nil
}

// forget forgets the ids of events that are lost, and what was lost of others.
func (r *repairing) forget(ctx context.Context) error {
	args := map[uint32][]string{}
	flush := func(number uint32) error {
		if len(args[number]) == 0 {
			return nil
		}
		err := r.write(ctx, forgetScript, []string{r.segmentKey(number), r.k.head}, args[number]).Error()
		args[number] = nil
		return err
	}
	judged := map[string]bool{} // a scan may return an id twice
	err := r.eachID(ctx, func(number uint32, id, value string, seen eventlog.Seen, err error) error {
		if err != nil {
			r.survey.Unreadable++
			return nil
		}
		if judged[id] {
			return nil
		}
		before := r.survey.Damage
		now, change := r.survey.Judge(&seen)
		if before.Incomplete != r.survey.Incomplete || change {
			judged[id] = true
		}
		if !change || !r.how.Change {
			return nil
		}
		to := ""
		if now != nil {
			to = valueOf(now)
		}
		if args[number] = append(args[number], id, value, to); len(args[number]) < 3*scanIDs {
			return nil
		}
		return flush(number)
	})
	for number := range args {
		if err == nil {
			err = flush(number)
		}
	}
	return err
}

// recount finds out how many ids are missing.
func (r *repairing) recount(ctx context.Context) error {
	args := []string{"look", strconv.Itoa(len(r.list.List))}
	if r.how.Change && r.how.AcceptLostIDs {
		args[0] = "change"
	}
	for _, g := range r.list.List {
		args = append(args, segmentText(g.Number))
	}
	n, err := r.write(ctx, recountScript, []string{r.k.ids, r.k.head}, append(args, "0")).AsInt64()
	r.survey.LostIDs = n
	return err
}
