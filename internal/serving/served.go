package serving

import (
	"fmt"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/server"
)

// openServed makes the served log, if anything is recorded.
func (r *run) openServed(cfg *server.Config) error {
	c, err := backend.ServedLog(r.Project)
	if err != nil {
		return err
	}
	if r.Flags.ServedLog != "" {
		if c.Rate, err = featuredefs.ParseRate(r.Flags.ServedLog); err != nil {
			return fmt.Errorf("--served-log: %w", err)
		}
	}
	if !c.On() {
		return nil
	}
	c.Log = r.log
	log := servedlog.New(c)
	r.work(log.Run)
	cfg.Served = log
	return log.Register(r.metrics)
}
