package serving

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/redisconn"
	"github.com/unskew/unskew/server"
)

// lookEvery is how often the Redis servers are looked at. What a master had before a failover is known that exactly.
const lookEvery = time.Second

// stores watches the Redis servers of log and store.
type stores struct {
	*backend.Servers
	strict bool

	mu        sync.Mutex
	findings  []redisconn.Finding
	failovers map[bool]int64 // whether writes are known to be lost
}

// watchStores refuses what --strict refuses, and begins to watch. Nothing is watched if log and store are embedded.
func (r *run) watchStores(cfg *server.Config) error {
	servers := r.backend.Servers()
	if servers == nil {
		return nil
	}
	if r.Flags.Strict && len(r.backend.Warnings) > 0 {
		return fmt.Errorf("--strict: acknowledged events could be lost:\n  %s", strings.Join(r.backend.Warnings, "\n  "))
	}
	s := &stores{Servers: servers, strict: r.Flags.Strict, failovers: map[bool]int64{}}
	s.register(r.metrics)
	cfg.Stores = s.wrong
	r.work(func(ctx context.Context) error { return s.run(ctx, r) })
	return nil
}

// run looks until ctx ends, and logs what is new.
func (s *stores) run(ctx context.Context, r *run) error {
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	said := map[string]bool{}
	for _, w := range r.backend.Warnings {
		said[w] = true
	}
	for {
		// A server that does not answer is found by whoever needs it.
		if look, err := s.Look(ctx); err == nil {
			s.note(look)
			now := map[string]bool{}
			for _, f := range look.Findings {
				if now[f.Text] = true; !said[f.Text] {
					r.log.Warn("acknowledged events could be lost", "reason", f.Text)
				}
			}
			said = now
			for _, f := range look.Failovers {
				r.log.Error("failover", "reason", f.String())
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

func (s *stores) note(look redisconn.Look) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.findings = look.Findings
	for _, f := range look.Failovers {
		s.failovers[f.Lost > 0]++
	}
}

// wrong says which servers do not answer and, with --strict, which settings are not safe.
func (s *stores) wrong() (silent, unsafe string) {
	if s.strict {
		s.mu.Lock()
		defer s.mu.Unlock()
		var texts []string
		for _, f := range s.findings {
			texts = append(texts, f.Text)
		}
		unsafe = strings.Join(texts, "; ")
	}
	return s.SilentText(), unsafe
}

func (s *stores) register(to *prometheus.Registry) {
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) {
		to.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
	}
	gauge("unskew_redis_servers", "Redis servers that own keys of the event log and the online store.", nil, func() float64 {
		_, all := s.Silent()
		return float64(all)
	})
	gauge("unskew_redis_servers_silent", "Of them those that do not answer, to which nothing is sent but a probe, so that requests fail at once.", nil, func() float64 {
		silent, _ := s.Silent()
		return float64(silent)
	})
	for _, setting := range redisconn.Settings {
		gauge("unskew_redis_servers_unsafe", "Redis servers, replicas included, with which acknowledged events could be lost because of a setting.",
			prometheus.Labels{"setting": setting}, func() float64 { return float64(s.unsafe(setting)) })
	}
	for lost, text := range map[bool]string{true: "yes", false: "unknown"} {
		to.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "unskew_redis_failovers_total",
			Help: "Replicas that took over, by whether it is known that acknowledged writes were lost.", ConstLabels: prometheus.Labels{"lost": text}}, func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return float64(s.failovers[lost])
		}))
	}
}

func (s *stores) unsafe(setting string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.findings {
		if f.Setting == setting {
			n++
		}
	}
	return n
}
