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

// Finding is something about a server that can cost acknowledged writes.
type Finding struct {
	Address string
	Setting string // of the server: one of Settings
	Text    string // for the operator
}

// Settings are the settings of servers that findings are about.
var Settings = []string{"maxmemory-policy", "appendonly", "appendfsync", "min-replicas-to-write"}

// checkServers checks the settings of every server that owns keys, and of the replicas that answer, which may own them tomorrow.
func (c *Conn) checkServers(ctx context.Context, allowEviction bool) ([]Finding, error) {
	found, _, err := c.inspect(ctx, allowEviction)
	return found, err
}

// inspect is checkServers, and returns the settings of masters by address, too.
func (c *Conn) inspect(ctx context.Context, allowEviction bool) (found []Finding, masters map[string]settings, err error) {
	owners, err := c.Masters(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("check redis: %w", err)
	}
	nodes := c.Nodes()
	maps.Copy(nodes, owners)
	ctx, cancel := c.Bound(ctx)
	defer cancel()
	masters = map[string]settings{}
	for _, address := range slices.Sorted(maps.Keys(nodes)) {
		_, master := owners[address]
		s, err := readSettings(ctx, nodes[address])
		if err != nil && !master {
			continue // a replica that does not answer cannot take over
		}
		if err != nil {
			return nil, nil, fmt.Errorf("check redis at %s: %w", address, Cause(ctx, err))
		}
		if master {
			masters[address] = s
		}
		of, err := s.check(address, allowEviction)
		if err != nil {
			return nil, nil, err
		}
		found = append(found, of...)
	}
	return found, masters, nil
}

// settings are the answers of INFO and CONFIG GET; "" where the server does not say.
type settings struct {
	version, eviction, aof, fsync, save string
	role, replicas, minReplicas         string
	replication, before                 string // ids of what is replicated, and of what was before a failover
	offset, taken                       int64  // of the last write, and of the last one before the failover
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
	s := settings{
		version: fields["redis_version"], eviction: fields["maxmemory_policy"], aof: fields["aof_enabled"],
		role: fields["role"], replicas: fields["connected_slaves"], replication: fields["master_replid"], before: fields["master_replid2"],
	}
	// What is no number is 0, and then nothing is found.
	s.offset, _ = strconv.ParseInt(fields["master_repl_offset"], 10, 64)
	s.taken, _ = strconv.ParseInt(fields["second_repl_offset"], 10, 64)
	s.taken-- // it is the first offset that is not of the master before
	// Hosted servers forbid CONFIG; the rest is then unknown.
	if config, err := node.Do(ctx, node.B().ConfigGet().Parameter("appendfsync", "save", "min-replicas-to-write").Build()).AsStrMap(); err == nil {
		s.fsync, s.save, s.minReplicas = config["appendfsync"], config["save"], config["min-replicas-to-write"]
		if s.save == "" {
			s.save = "none"
		}
	}
	return s, nil
}

// check returns what can cost acknowledged writes, or the error that forbids using the server.
func (s settings) check(address string, allowEviction bool) ([]Finding, error) {
	major, _, _ := strings.Cut(s.version, ".")
	if n, err := strconv.Atoi(major); err == nil && n < oldestMajor {
		return nil, fmt.Errorf("redis at %s has version %s: %d.0 or newer is needed", address, s.version, oldestMajor)
	}
	var found []Finding
	finding := func(setting, format string, args ...any) {
		found = append(found, Finding{address, setting, fmt.Sprintf("redis at "+address+" "+format, args...)})
	}
	switch {
	case s.eviction == "noeviction":
	case s.eviction == "":
		finding("maxmemory-policy", "does not tell its maxmemory-policy: make sure that it is noeviction")
	case allowEviction:
		finding("maxmemory-policy", "has maxmemory-policy %s: when memory is short it drops records and states, and features come out wrong without any sign of it", s.eviction)
	default:
		return nil, &EvictionError{Address: address, Policy: s.eviction}
	}
	switch {
	case s.aof == "0" && s.save == "none":
		finding("appendonly", "has appendonly off and saves nothing: a restart loses everything; set appendonly yes and appendfsync always")
	case s.aof == "0":
		finding("appendonly", "has appendonly off: a crash loses acknowledged writes; set appendonly yes and appendfsync always")
	case s.aof == "1" && s.fsync != "" && s.fsync != "always":
		finding("appendfsync", "has appendfsync %s: a power failure loses the last acknowledged writes; set appendfsync always", s.fsync)
	}
	if s.role == "master" && s.replicas != "" && s.replicas != "0" && s.minReplicas == "0" {
		finding("min-replicas-to-write", "has replicas and acknowledges writes without them: a failover to one that lags loses acknowledged writes; set min-replicas-to-write 1 and min-replicas-max-lag 1")
	}
	return found, nil
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
