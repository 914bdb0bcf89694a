package redisconn

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// oldestMajor is the first version with what the scripts use (XADD with 0-*).
const oldestMajor = 7

// checkServers checks the settings of every server that owns keys.
func (c *Conn) checkServers(ctx context.Context, allowEviction bool) ([]string, error) {
	masters, err := c.Masters(ctx)
	if err != nil {
		return nil, fmt.Errorf("check redis: %w", err)
	}
	ctx, cancel := c.Bound(ctx)
	defer cancel()
	var warnings []string
	for _, address := range slices.Sorted(maps.Keys(masters)) {
		s, err := readSettings(ctx, masters[address])
		if err != nil {
			return nil, fmt.Errorf("check redis at %s: %w", address, Cause(ctx, err))
		}
		found, err := s.check(address, allowEviction)
		if err != nil {
			return nil, err
		}
		warnings = append(warnings, found...)
	}
	return warnings, nil
}

// settings are the answers of INFO and CONFIG GET; "" where the server does not say.
type settings struct {
	version, eviction, aof, fsync string
}

func readSettings(ctx context.Context, node rueidis.Client) (settings, error) {
	info, err := node.Do(ctx, node.B().Info().Build()).ToString()
	if err != nil {
		return settings{}, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	s := settings{version: fields["redis_version"], eviction: fields["maxmemory_policy"], aof: fields["aof_enabled"]}
	// Hosted servers forbid CONFIG; fsync is then unknown.
	if config, err := node.Do(ctx, node.B().ConfigGet().Parameter("appendfsync").Build()).AsStrMap(); err == nil {
		s.fsync = config["appendfsync"]
	}
	return s, nil
}

// check returns the warnings, or the error that forbids using the server.
func (s settings) check(address string, allowEviction bool) ([]string, error) {
	major, _, _ := strings.Cut(s.version, ".")
	if n, err := strconv.Atoi(major); err == nil && n < oldestMajor {
		return nil, fmt.Errorf("redis at %s has version %s: %d.0 or newer is needed", address, s.version, oldestMajor)
	}
	var warnings []string
	switch {
	case s.eviction == "noeviction":
	case s.eviction == "":
		warnings = append(warnings, fmt.Sprintf(
			"redis at %s does not tell its maxmemory-policy: make sure that it is noeviction", address))
	case allowEviction:
		warnings = append(warnings, fmt.Sprintf(
			"redis at %s has maxmemory-policy %s: when memory is short it drops records and states, and features come out wrong without any sign of it",
			address, s.eviction))
	default:
		return nil, &EvictionError{Address: address, Policy: s.eviction}
	}
	return append(warnings, s.durability(address)...), nil
}

func (s settings) durability(address string) []string {
	switch {
	case s.aof == "0":
		return []string{fmt.Sprintf("redis at %s has appendonly off: a crash loses acknowledged writes; set appendonly yes and appendfsync always", address)}
	case s.aof == "1" && s.fsync != "" && s.fsync != "always":
		return []string{fmt.Sprintf("redis at %s has appendfsync %s: a power failure loses the last acknowledged writes; set appendfsync always", address, s.fsync)}
	}
	return nil
}

// EvictionError says that the server drops keys when memory is short, which would silently
// truncate windows.
type EvictionError struct {
	Address string
	Policy  string // its maxmemory-policy
}

// Error names the setting to change.
func (e *EvictionError) Error() string {
	return fmt.Sprintf("redis at %s has maxmemory-policy %s and would silently drop records and states when memory is short: "+
		"set maxmemory-policy noeviction there, or allow eviction if losing them is acceptable", e.Address, e.Policy)
}
