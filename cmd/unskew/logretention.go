package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/materializer/online"
)

func newLogStatus(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "status [SOURCE]",
		Short: "Show which records are in the log and which in the archive",
		Long: `Shows for every stream source (or one) which records its log has, which of them every view has
applied, which are in the archive, and which were trimmed. It checks that the archive is whole
and of this log.`,
		Args:              takes(0, 1),
		ValidArgsFunction: first(o.completes(streamNames), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			return o.eachLog(c, args, func(context.Context, *online.Retention, *plan.Source, *logStatus) error { return nil })
		},
	}
}

func newLogArchive(o *options) *cobra.Command {
	var older string
	c := &cobra.Command{
		Use:   "archive [SOURCE]",
		Short: "Copy records of the log to Parquet files",
		Long: `Copies records of the logs of every stream source (or of one) that are in no file yet to Parquet
files in the folder archive of the data folder. The log is not changed; unskew log trim removes
archived records from it. Training and materializing read both as one history.`,
		Example:           "  unskew log archive\n  unskew log archive transactions --older-than 7d",
		Args:              takes(0, 1),
		ValidArgsFunction: first(o.completes(streamNames), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			before, err := agoFlag("--older-than", older)
			if err != nil {
				return err
			}
			return o.eachLog(c, args, func(ctx context.Context, r *online.Retention, src *plan.Source, s *logStatus) error {
				written, err := r.Archive(ctx, src, before)
				for _, f := range written {
					s.Written += int64(f.Last - f.First + 1)
				}
				return err
			})
		},
	}
	c.Flags().StringVar(&older, "older-than", "1d", "only records that were stored more than `SPAN` ago; 0 is all")
	return c
}

func newLogTrim(o *options) *cobra.Command {
	var older string
	var yes bool
	c := &cobra.Command{
		Use:   "trim [SOURCE]",
		Short: "Remove archived records from the log",
		Long: `Shows which records can be removed from the logs of every stream source (or of one): those that are
archived and that every view has applied. With --yes it removes them, after comparing each with
the archive. Records are removed by whole files, and the newest is kept. Keep the archive: training and materializing
read removed records from it.`,
		Example:           "  unskew log trim\n  unskew log trim --older-than 7d --yes",
		Args:              takes(0, 1),
		ValidArgsFunction: first(o.completes(streamNames), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			before, err := agoFlag("--older-than", older)
			if err != nil {
				return err
			}
			return o.eachLog(c, args, func(ctx context.Context, r *online.Retention, src *plan.Source, s *logStatus) error {
				found, err := r.Status(ctx, src)
				if err != nil {
					return err
				}
				s.Trimming, s.Trimmable = true, found.Trimmable(before)
				if yes {
					s.Removed, err = r.Trim(ctx, src, before)
				}
				return err
			})
		},
	}
	c.Flags().StringVar(&older, "older-than", "7d", "keep records that were stored less than `SPAN` ago; 0 keeps none")
	c.Flags().BoolVar(&yes, "yes", false, "remove the records instead of only showing how many there are")
	return c
}

// agoFlag returns the time that lies a span before now.
func agoFlag(flag, span string) (plan.EventTime, error) {
	if span == "0" {
		return plan.Never, nil
	}
	ago, err := plan.ParseSpan(span)
	if err != nil {
		return 0, fmt.Errorf("%s: %w; 0 is none", flag, err)
	}
	return clock.Now() - plan.EventTime(ago), nil
}

// logStatus is the status of a log as printed, after what the command did. Positions are summed up over its shards.
type logStatus struct {
	Source string `json:"source"`
	places
	Written   int64    `json:"written"`          // records, by this command
	Trimmable int64    `json:"trimmable"`        // records, before this command
	Removed   int64    `json:"removed"`          // records, by this command
	Trimming  bool     `json:"-"`                // the command is trim
	Shards    []places `json:"shards,omitempty"` // if there are several
}

// places says where the records of a log, or of one of its shards, are.
type places struct {
	End      uint64 `json:"end"`
	Applied  uint64 `json:"applied"`
	Slowest  string `json:"slowest_view,omitempty"`
	Archived uint64 `json:"archived"`
	Files    int    `json:"archive_files"`
	Bytes    int64  `json:"archive_bytes"`
	Trimmed  uint64 `json:"trimmed"`
	Closed   bool   `json:"closed,omitempty"` // it takes no more events
}

func (s *logStatus) set(found online.LogStatus) {
	s.places, s.Shards = places{}, nil
	most := uint64(0)
	for k := range found.Shards {
		of := &found.Shards[k]
		p := places{End: uint64(of.End), Applied: uint64(of.Applied), Archived: uint64(of.Archived), Trimmed: uint64(of.Trimmed), Files: len(of.Files), Bytes: of.Bytes(), Closed: k < found.First}
		if of.Slowest != nil {
			p.Slowest = of.Slowest.Name
		}
		if lag := p.End - p.Applied; k == 0 || lag > most {
			most, s.Slowest = lag, p.Slowest
		}
		s.End, s.Applied, s.Archived, s.Trimmed = s.End+p.End, s.Applied+p.Applied, s.Archived+p.Archived, s.Trimmed+p.Trimmed
		s.Files, s.Bytes = s.Files+p.Files, s.Bytes+p.Bytes
		s.Shards = append(s.Shards, p)
	}
	if len(s.Shards) == 1 {
		s.Shards = nil
	}
}

func (s *logStatus) String() string {
	text := fmt.Sprintf("source %s: ", s.Source)
	switch {
	case s.Written > 0:
		text += fmt.Sprintf("%s archived by this run; ", quantity(s.Written, "record"))
	case s.Removed > 0:
		text += fmt.Sprintf("%s removed from the log; ", quantity(s.Removed, "record"))
	case s.Trimmable > 0:
		text += fmt.Sprintf("%s can be removed from the log, --yes does; ", quantity(s.Trimmable, "record"))
	case s.Trimming && s.End > 0:
		text += "no record can be removed yet, see --help; "
	}
	if s.Shards == nil {
		return text + "the log " + s.places.String()
	}
	text += fmt.Sprintf("the log has %s in %d shards", quantity(int64(s.End-s.Trimmed), "record"), len(s.Shards))
	for k := range s.Shards {
		text += fmt.Sprintf("\n  shard %d %s", k, s.Shards[k].String())
		if s.Shards[k].Closed {
			text += "; it takes no more events"
		}
	}
	return text
}

func (p *places) String() string {
	if p.End == 0 {
		return "is empty"
	}
	text := fmt.Sprintf("has positions %d to %d", p.Trimmed+1, p.End)
	if p.Slowest != "" {
		text += fmt.Sprintf(", applied up to %d (view %s)", p.Applied, p.Slowest)
	}
	if p.Archived == 0 {
		return text + ", none is archived"
	}
	return text + fmt.Sprintf(", archived up to %d in %s, %s", p.Archived, quantity(int64(p.Files), "file"), quantity(p.Bytes, "byte"))
}

// eachLog does something with the logs of the stream sources, or of the one in args, and prints their
// status.
func (o *options) eachLog(c *cobra.Command, args []string, do func(context.Context, *online.Retention, *plan.Source, *logStatus) error) (err error) {
	p, err := o.load(c, nil)
	if err != nil {
		return err
	}
	sources, err := streams(p.Plan, args)
	if err != nil {
		return err
	}
	st, err := openStores(c, p)
	if err != nil {
		return err
	}
	defer closeWith(&err, st)
	r := online.NewRetention(p.Plan, st.Archive, st.Store, clock.Now)
	all := []*logStatus{}
	for _, src := range sources {
		s := &logStatus{Source: src.Name}
		var found online.LogStatus
		if err = do(c.Context(), r, src, s); err == nil {
			found, err = r.Status(c.Context(), src)
		}
		if err != nil {
			return fmt.Errorf("source %s: %w", src.Name, err)
		}
		s.set(found)
		all = append(all, s)
		if !o.json {
			fmt.Fprintln(c.OutOrStdout(), s)
		}
	}
	if o.json {
		return printJSON(c, all)
	}
	return nil
}

// streams returns the stream sources of a plan, or the one that is named.
func streams(p *plan.Plan, args []string) ([]*plan.Source, error) {
	var out []*plan.Source
	for _, s := range p.Sources {
		if s.Stream {
			out = append(out, s)
		}
	}
	if len(args) == 0 {
		return out, nil
	}
	src, err := pick("source", args[0], out, func(s *plan.Source) string { return s.Name })
	return []*plan.Source{src}, err
}
