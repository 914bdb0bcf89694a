package serving

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/registry"
)

// Outcomes of a reload, values of a label.
const (
	reloadChanged   = "changed"
	reloadUnchanged = "unchanged"
	reloadFailed    = "failed"
)

func newReloads(reg prometheus.Registerer) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unskew_reloads_total", Help: "Hangups, on which configuration is read again: changed, unchanged, or failed, if a part of it stays as it was because of errors."}, []string{"outcome"})
	for _, outcome := range []string{reloadChanged, reloadUnchanged, reloadFailed} {
		c.WithLabelValues(outcome)
	}
	reg.MustRegister(c)
	return c
}

// followHangups reads the configuration again at every hangup. A closed terminal does not end the server.
func (r *run) followHangups(ctx context.Context, hangups <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangups:
			r.reload(ctx)
		}
	}
}

// reload reads again what can change while the server runs. Parts with errors stay as they were.
func (r *run) reload(ctx context.Context) {
	var changed []string
	var failed []error
	for _, part := range []struct {
		name string
		read func(context.Context) ([]string, error)
	}{{"callers and certificate", r.secure.reload}, {"project", r.reloadProject}} {
		what, err := part.read(ctx)
		changed = append(changed, what...)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", part.name, err))
		}
	}
	outcome := reloadUnchanged
	switch {
	case len(failed) > 0:
		outcome = reloadFailed
		r.log.Error("hangup: configuration with errors stays as it was", "reason", errors.Join(failed...), "changed", strings.Join(changed, ", "))
	case len(changed) > 0:
		outcome = reloadChanged
		r.log.Info("hangup: configuration was read again", "changed", strings.Join(changed, ", "))
	default:
		r.log.Info("hangup: nothing has changed")
	}
	r.reloads.WithLabelValues(outcome).Inc()
}

// reload reads the callers file and the certificate again, and says which have changed.
func (s *security) reload(context.Context) (changed []string, err error) {
	var errs []error
	for name, read := range map[string]func() (bool, error){"callers": s.readCallers, "certificate": s.readPair} {
		if read == nil {
			continue
		}
		if is, err := read(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		} else if is {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed, errors.Join(errs...)
}

// reloadProject serves the definitions and rates that the project has now, if that needs no restart.
func (r *run) reloadProject(ctx context.Context) (changed []string, err error) {
	if r.Load == nil {
		return nil, nil
	}
	p, err := r.Load(ctx)
	if err != nil {
		return nil, err
	}
	if changed, err = r.changes(p); err != nil || len(changed) == 0 {
		return nil, err
	}
	if err := r.materialized(ctx, p.Plan); err != nil {
		return nil, err
	}
	rates, all, err := r.servedRates(p)
	if err != nil {
		return nil, err
	}
	explains := *r.follower.now.Load().explains
	explains.Plan = p.Plan
	next, err := r.follow(ctx, p, &explains)
	if err != nil {
		return nil, err
	}
	if r.served != nil {
		r.served.SetRates(all, rates)
	}
	if err := r.server.Promote(p.Plan); err != nil {
		return nil, err
	}
	select {
	case r.follower.next <- next:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.Project = p
	if r.Changed != nil {
		r.Changed(p)
	}
	_ = r.freshness.Refresh(ctx, clock.Now()) // the tracker's Run reports an error
	return changed, nil
}

// changes says what differs between the project that is served and p, and an error if that needs a restart.
func (r *run) changes(p *featuredefs.Project) (changed []string, err error) {
	old := r.Project
	restart := func(format string, args ...any) error {
		return fmt.Errorf(format+"; restart the server to use it, or take it back", args...)
	}
	// What is set once: where things are, and how they are read.
	was, is := old.Online, p.Online
	was.Retain, is.Retain = 0, 0
	servedWas, servedIs := old.ServedLog, p.ServedLog
	servedWas.Rate, servedWas.Services, servedIs.Rate, servedIs.Services = 0, nil, 0, nil
	switch {
	case old.Name != p.Name, !reflect.DeepEqual(was, is), !reflect.DeepEqual(servedWas, servedIs), !reflect.DeepEqual(old.Databases, p.Databases):
		return nil, restart("unskew.yaml has other settings than log.retain and rates of the served log")
	}
	if err := sameSources(old.Plan, p.Plan); err != nil {
		return nil, restart("%v", err)
	}
	if old.Online.Retain != p.Online.Retain {
		changed = append(changed, "log.retain")
	}
	if old.ServedLog.Rate != p.ServedLog.Rate || !reflect.DeepEqual(old.ServedLog.Services, p.ServedLog.Services) {
		if r.served == nil {
			return nil, restart("the served log is on now")
		}
		if r.shadow != nil {
			return nil, restart("rates of the served log have changed, and --parity checks by those of the start")
		}
		changed = append(changed, "served_log.rate")
	}
	definitions := differing(old.Plan.Views, p.Plan.Views, "view ", func(v *plan.View) (string, plan.Fingerprint) { return v.Name, v.Fingerprint })
	definitions = append(definitions, differing(old.Plan.Services, p.Plan.Services, "service ", func(s *plan.Service) (string, plan.Fingerprint) { return s.Name, s.Fingerprint })...)
	if len(definitions) > 0 && r.shadow != nil {
		return nil, restart("definitions have changed, and --parity follows those of the start: %s", strings.Join(definitions, ", "))
	}
	if len(definitions) == 0 && !reflect.DeepEqual(old.Plan, p.Plan) {
		definitions = []string{"descriptions or training sets"}
	}
	return append(changed, definitions...), nil
}

// differing lists what is new, gone or changed.
func differing[T any](old, now []T, kind string, of func(T) (string, plan.Fingerprint)) (names []string) {
	had := map[string]plan.Fingerprint{}
	for _, x := range old {
		name, f := of(x)
		had[name] = f
	}
	for _, x := range now {
		name, f := of(x)
		if g, ok := had[name]; !ok || f != g {
			names = append(names, kind+name)
		}
		delete(had, name)
	}
	for name := range had {
		names = append(names, kind+name)
	}
	slices.Sort(names)
	return names
}

// sameSources returns an error unless two plans have the same sources, of which the same streams have views.
func sameSources(old, now *plan.Plan) error {
	had := map[string]*plan.Source{}
	for _, s := range old.Sources {
		had[s.Name] = s
	}
	for _, s := range now.Sources {
		o, ok := had[s.Name]
		if !ok || !reflect.DeepEqual(meaning(o), meaning(s)) || (len(o.Keys) == 0) != (len(s.Keys) == 0) {
			return fmt.Errorf("source %s is new or has changed", s.Name)
		}
		delete(had, s.Name)
	}
	for name := range had {
		return fmt.Errorf("source %s is gone", name)
	}
	return nil
}

// meaning is a source without where it is written, and what views read of it.
func meaning(s *plan.Source) plan.Source {
	m := *s
	m.Pos, m.RelationPos, m.ColumnPos, m.Description, m.Keys = plan.Pos{}, plan.Pos{}, nil, "", nil
	return m
}

// materialized returns an error that names the views without state.
func (r *run) materialized(ctx context.Context, p *plan.Plan) error {
	var absent []string
	for _, v := range p.Views {
		_, err := registry.Live(ctx, r.backend.Store, v)
		var none *registry.NotMaterialized
		switch {
		case errors.As(err, &none):
			absent = append(absent, v.Name)
		case err != nil:
			return err
		}
	}
	if len(absent) > 0 {
		return fmt.Errorf("views are not materialized as they are defined now: %s; run unskew materialize, then send another hangup", strings.Join(absent, ", "))
	}
	return nil
}
