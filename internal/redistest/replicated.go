package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Replicated is a cluster in which each server that owns slots has a replica. Which one is the master changes with
// failovers. Its methods are for one goroutine.
type Replicated struct {
	Servers []*Server // first those that were masters at the beginning, then their replicas in the same order
	access  Access
}

// StartReplicated starts a cluster of so many masters with one replica each, and returns it when the replicas have all that
// the masters have. The arguments are those of Start.
func StartReplicated(t testing.TB, masters int, access Access, args ...string) *Replicated {
	t.Helper()
	args = append([]string{"--cluster-node-timeout", nodeTimeout}, args...)
	c := &Replicated{Servers: startCluster(t, masters, access, args), access: access}
	for range masters {
		s := startNode(t, access, args)
		c.Servers[0].meet(t, s)
		c.Servers = append(c.Servers, s)
	}
	for i, s := range c.Servers[masters:] {
		id := c.Servers[i].Ask(t, "CLUSTER", "MYID")
		await(t, "the replica does not know its master", func() (bool, string) {
			nodes := s.Ask(t, "CLUSTER", "NODES")
			return strings.Contains(nodes, id), nodes
		})
		s.Ask(t, "CLUSTER", "REPLICATE", id)
	}
	for _, s := range c.Servers {
		c.awaitNodes(t, s)
	}
	for _, s := range c.Servers[masters:] {
		s.AwaitReplica(t)
	}
	return c
}

// awaitNodes waits until a server knows every node, and which are replicas.
func (c *Replicated) awaitNodes(t testing.TB, s *Server) {
	t.Helper()
	await(t, "a node does not know all others", func() (bool, string) {
		nodes := s.Ask(t, "CLUSTER", "NODES")
		return strings.Count(nodes, " connected") == len(c.Servers) && strings.Count(nodes, "slave") == len(c.Servers)/2 &&
			!strings.Contains(nodes, "fail") && !strings.Contains(nodes, "handshake"), nodes
	})
}

// AwaitReplica waits until this server is a replica that follows its master.
func (s *Server) AwaitReplica(t testing.TB) {
	t.Helper()
	await(t, "the replica does not follow", func() (bool, string) {
		info, err := s.try(t, "INFO", "replication")
		return strings.Contains(info, "role:slave") && strings.Contains(info, "master_link_status:up"), fmt.Sprint(info, err)
	})
}

// KillInSync kills a master when its replica has all that it has acknowledged: of a replica that lags, the last writes would be lost. Writes wait
// meanwhile, and are not acknowledged.
func (s *Server) KillInSync(t testing.TB, replica *Server) {
	t.Helper()
	s.Ask(t, "CLIENT", "PAUSE", "60000", "WRITE")
	written := offset(s.Ask(t, "INFO", "replication"), "master_repl_offset")
	await(t, "the replica lags", func() (bool, string) {
		info, err := replica.try(t, "INFO", "replication")
		return offset(info, "slave_repl_offset") >= written, fmt.Sprint(info, err)
	})
	s.Kill()
}

// offset is a number in the answer to INFO, -1 if it is not there.
func offset(info, name string) int64 {
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				return n
			}
		}
	}
	return -1
}

// AwaitMaster waits until this server is a master, in a cluster one that the cluster works with.
func (s *Server) AwaitMaster(t testing.TB) {
	t.Helper()
	await(t, "the server is no master", func() (bool, string) {
		info, err := s.try(t, "INFO", "replication")
		if s.busPort != "" && err == nil {
			var cluster string
			cluster, err = s.try(t, "CLUSTER", "INFO")
			info += cluster
		}
		return strings.Contains(info, "role:master") && (s.busPort == "" || strings.Contains(info, "cluster_state:ok")), fmt.Sprint(info, err)
	})
}

// Addresses are those of all servers.
func (c *Replicated) Addresses() string {
	var all []string
	for _, s := range c.Servers {
		all = append(all, s.Address)
	}
	return strings.Join(all, ",")
}

// Slot is the slot of a key.
func (c *Replicated) Slot(t testing.TB, key string) string {
	t.Helper()
	return c.Servers[0].Ask(t, "CLUSTER", "KEYSLOT", key)
}

// Owner is the master that owns a slot, and its replica, as a server that runs knows it.
func (c *Replicated) Owner(t testing.TB, slot string) (master, replica *Server) {
	t.Helper()
	for _, s := range c.running() {
		if strings.Contains(s.Ask(t, "INFO", "replication"), "role:slave") {
			continue
		}
		// A master that has no such slot answers that keys of it are elsewhere.
		if s.owns(t, slot) {
			return s, c.replicaOf(t, s)
		}
	}
	t.Fatalf("nobody owns slot %s", slot)
	return nil, nil
}

func (c *Replicated) running() (all []*Server) {
	for _, s := range c.Servers {
		if s.cmd.ProcessState == nil {
			all = append(all, s)
		}
	}
	return all
}

// owns reports whether a server says that a slot is its own.
func (s *Server) owns(t testing.TB, slot string) bool {
	t.Helper()
	var number int
	if _, err := fmt.Sscan(slot, &number); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(s.Ask(t, "CLUSTER", "NODES")) {
		words := strings.Fields(line)
		if !strings.Contains(words[2], "myself") {
			continue
		}
		for _, r := range words[8:] {
			first, last, isRange := strings.Cut(r, "-")
			if !isRange {
				last = first
			}
			var from, to int
			if _, err := fmt.Sscan(first, &from); err != nil {
				continue // a slot that is being moved
			}
			if _, err := fmt.Sscan(last, &to); err == nil && from <= number && number <= to {
				return true
			}
		}
	}
	return false
}

// replicaOf is the replica of a master; nil if none runs.
func (c *Replicated) replicaOf(t testing.TB, master *Server) *Server {
	t.Helper()
	id := master.Ask(t, "CLUSTER", "MYID")
	for _, s := range c.running() {
		for line := range strings.Lines(s.Ask(t, "CLUSTER", "NODES")) {
			if words := strings.Fields(line); strings.Contains(words[2], "myself,slave") && words[3] == id {
				return s
			}
		}
	}
	return nil
}

// Move moves a slot with all its keys to another master, one key after the other, as redis-cli does. It calls half, if that is not nil, when
// the first key has been moved.
func (c *Replicated) Move(t testing.TB, slot string, to *Server, half func()) {
	t.Helper()
	from, _ := c.Owner(t, slot)
	fromID, toID := from.Ask(t, "CLUSTER", "MYID"), to.Ask(t, "CLUSTER", "MYID")
	to.Ask(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	from.Ask(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	host, port, _ := net.SplitHostPort(to.Address)
	for n := 0; ; n++ {
		if n == 1 && half != nil {
			half()
		}
		keys := strings.Fields(strings.Trim(from.Ask(t, "CLUSTER", "GETKEYSINSLOT", slot, "1"), "[]"))
		if len(keys) == 0 {
			break
		}
		command := []string{"MIGRATE", host, port, "", "0", "5000"}
		if c.access.Password != "" {
			command = append(command, "AUTH", c.access.Password)
		}
		from.Ask(t, append(command, "KEYS", keys[0])...)
	}
	to.Ask(t, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	from.Ask(t, "CLUSTER", "SETSLOT", slot, "NODE", toID)
}

// Watched is a master with a replica and three sentinels. Its methods are for one goroutine.
type Watched struct {
	Master, Replica *Server // at the beginning
	Sentinels       []*Server
}

// SentinelMaster is the name by which the sentinels of StartSentinels know the master.
const SentinelMaster = "unskew-test"

// StartSentinels starts them. access is that of master and replica, password what sentinels ask for. The arguments are those of
// Start.
func StartSentinels(t testing.TB, access Access, password string, args ...string) *Watched {
	t.Helper()
	w := &Watched{Master: StartTCP(t, access, args...)}
	host, port, _ := net.SplitHostPort(w.Master.Address)
	w.Replica = StartTCP(t, access, append([]string{"--replicaof", host + " " + port}, args...)...)
	w.Replica.AwaitReplica(t)
	for range 3 {
		w.Sentinels = append(w.Sentinels, startSentinel(t, w.Master, password))
	}
	for _, s := range w.Sentinels {
		await(t, "a sentinel does not know the others", func() (bool, string) {
			about := s.Ask(t, "INFO", "sentinel")
			return strings.Contains(about, "status=ok") && strings.Contains(about, "slaves=1,sentinels=3"), about
		})
	}
	return w
}

// Addresses are those of the sentinels.
func (w *Watched) Addresses() string {
	var all []string
	for _, s := range w.Sentinels {
		all = append(all, s.Address)
	}
	return strings.Join(all, ",")
}

func startSentinel(t testing.TB, master *Server, password string) *Server {
	t.Helper()
	access := master.access
	access.Password, access.Users = password, nil
	port := freePorts(t, 1)[0]
	s := &Server{Address: net.JoinHostPort("127.0.0.1", port), dir: makeDir(t), access: access}
	var conf strings.Builder
	for args := access.args(port); len(args) > 0; args = args[2:] {
		if args[0] != "--masterauth" {
			fmt.Fprintf(&conf, "%s %s\n", strings.TrimPrefix(args[0], "--"), args[1])
		}
	}
	_, masterPort, _ := net.SplitHostPort(master.Address)
	fmt.Fprintf(&conf, "sentinel monitor %s 127.0.0.1 %s 2\nsentinel down-after-milliseconds %[1]s %[3]s\nsentinel failover-timeout %[1]s 5000\n",
		SentinelMaster, masterPort, nodeTimeout)
	if p := master.access.Password; p != "" {
		fmt.Fprintf(&conf, "sentinel auth-pass %s %s\n", SentinelMaster, p)
	}
	if password != "" {
		fmt.Fprintf(&conf, "sentinel sentinel-pass %s\n", password)
	}
	file := filepath.Join(s.dir, "sentinel.conf")
	if err := os.WriteFile(file, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.first = []string{file, "--sentinel"}
	t.Cleanup(s.Kill)
	s.start(t)
	return s
}
