package explain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/servedlog"
)

// recorded compares with what a server recorded.
func (x *search) recorded(ctx context.Context) error {
	files, err := servedlog.List(x.Served)
	if err != nil {
		return err
	}
	for _, s := range x.Plan.Services {
		if x.May != nil && !x.May(s.Name) {
			continue
		}
		for i := range s.Features {
			f := &s.Features[i]
			switch {
			case x.output == f.Name:
				x.cfg.View, x.cfg.Feature = s.Views[f.Ref].View, f.Feature
			case x.output != "" || s.Views[f.Ref].View != x.cfg.View || f.Feature != x.cfg.Feature:
				continue
			}
			for _, file := range files {
				if file.Service != s.Name {
					continue
				}
				found, err := x.inSegment(ctx, file.Path, s, f)
				if found || err != nil {
					return err
				}
			}
		}
	}
	return refuse(Missing, "no row %d of a request %s with this feature is in the served log; servers write their rows a minute later at most, and record a sample (served_log: in unskew.yaml)", x.Row, x.ID)
}

// inSegment looks for the row in a segment.
func (x *search) inSegment(ctx context.Context, path string, s *plan.Service, f *plan.ServiceFeature) (found bool, err error) {
	seg, err := servedlog.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, seg.Close()) }()
	o := slices.IndexFunc(seg.Outputs, func(out plan.Field) bool { return out.Name == f.Name })
	role := slices.Index(seg.Views, s.Views[f.Ref].As)
	if o < 0 || role < 0 {
		return false, nil
	}
	for row, err := range seg.Rows() {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return false, err
		}
		if row.RequestID == x.ID && int64(row.Number) == x.Row {
			return true, x.recordedRow(ctx, seg, row, &s.Views[f.Ref], row.Outputs[o], &row.Views[role])
		}
	}
	return false, nil
}

// recordedRow compares with a recorded row.
func (x *search) recordedRow(ctx context.Context, seg *servedlog.Segment, row *servedlog.Row, ref *plan.ViewRef, out servedlog.Output, of *servedlog.View) error {
	v := x.cfg.View
	if seg.KeysHashed {
		return refuse(Unknowable, "the entity is not known: hash_keys hides the keys of the served log; name the entity by its keys, and the time")
	}
	for _, name := range ref.Keys {
		if i := slices.IndexFunc(seg.Keys, func(k plan.Field) bool { return k.Name == name }); i >= 0 {
			x.cfg.Key = append(x.cfg.Key, row.Keys[i])
		}
	}
	if len(x.cfg.Key) != len(ref.Keys) || slices.ContainsFunc(x.cfg.Key, plan.Value.IsNull) {
		return refuse(Unknowable, "the row has no key of this view's entity")
	}
	if out.Status == "" {
		return refuse(Missing, "the request did not ask for this feature")
	}
	x.cfg.At = row.AsOf
	cell := recompute.NewCell(out.Value, out.Status)
	if cell.Reason = out.Reason; out.Status == "STALE" {
		cell.Status, cell.Reason = out.Reason, ""
	}
	b, err := recompute.FindBuild(ctx, x.Store, v, x.Inputs)
	if none := (*registry.NotMaterialized)(nil); err != nil && !errors.As(err, &none) {
		return err
	}
	if err != nil || of.Fingerprint != v.Fingerprint.String() || of.Build != b.Build || of.Generation != b.Number {
		x.cfg.Note = fmt.Sprintf("%s (%s) was served, by a version or build of the view that is no longer live, so its events are not known", cell.Value, cell.Status)
		return nil
	}
	x.compareWith(&b, of.Positions).Recorded = &cell
	return nil
}
