package serving

import (
	"errors"
	"fmt"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/server"
)

// openServed makes the served log, if anything is recorded.
func (r *run) openServed(cfg *server.Config) error {
	c, err := backend.ServedLog(r.Project)
	if err != nil {
		return err
	}
	if c.Rates, c.Rate, err = r.servedRates(r.Project); err != nil {
		return err
	}
	if !c.On() {
		if r.Flags.Parity {
			return errors.New("--parity needs recorded answers; add --served-log 1%, or served_log: {rate: 1%} in unskew.yaml")
		}
		return nil
	}
	c.Log = r.log
	if r.Flags.Parity {
		c.Visible = checkedVisible
	}
	log := servedlog.New(c)
	r.work(log.Run)
	cfg.Served, r.served = log, log
	if r.Flags.Parity {
		if err := r.openParity(cfg); err != nil {
			return err
		}
	}
	return log.Register(r.metrics)
}

// servedRates are the rates of a project, of services and of all others.
func (r *run) servedRates(p *featuredefs.Project) (of map[string]float64, others float64, err error) {
	of, others = p.ServedLog.Services, p.ServedLog.Rate
	if r.Flags.ServedLog != "" {
		if others, err = featuredefs.ParseRate(r.Flags.ServedLog); err != nil {
			err = fmt.Errorf("--served-log: %w", err)
		}
	}
	return of, others, err
}

// checkedVisible is after which time rows can be computed again, so that a wrong value is seen within a minute: a round begins soon after,
// and while rounds are short, they follow one another.
const checkedVisible = 20 * time.Second

// openParity makes what computes recorded answers again.
func (r *run) openParity(cfg *server.Config) error {
	c := recompute.ShadowConfig{
		Plan: r.Project.Plan, Served: cfg.Served, Log: r.backend.Log, Store: r.backend.Store, Past: r.Files, KeepBytes: r.keep,
		Warn: r.warns("recorded answers were not computed again"), Found: r.wrong, Read: r.historyRead,
	}
	r.shadow = recompute.NewShadow(c)
	r.work(r.shadow.Run)
	cfg.Parity = r.shadow
	return r.shadow.Register(r.metrics)
}

// historyRead logs that the history of a source was read.
func (r *run) historyRead(of recompute.HistoryRead) {
	r.log.Info("the history of sampled entities was read, and its log is followed from now on", "source", of.Source, "reason", of.Reason, "seconds", of.Took.Seconds(),
		"entities", of.Entities, "bytes", of.Bytes, "share", of.Share)
}

// wrong logs if values cannot be had from the events behind them. It does not log these, nor whose they are.
func (r *run) wrong(found *recompute.Report) {
	for _, e := range found.Examples {
		if e.Cause == recompute.Compute || e.Cause == recompute.Default {
			r.log.Error("served values are not those of the events behind them; see GET /parity", "service", found.Service, "values", found.Wrong(), "feature", e.Feature, "cause", e.Cause, "request", e.RequestID, "row", e.Row)
			return
		}
	}
}
