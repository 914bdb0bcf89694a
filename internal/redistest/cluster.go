package redistest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// slots is how many hash slots a Redis cluster has.
const slots = 16384

// StartCluster starts a cluster of servers on loopback ports, without replicas,
// and returns them when it takes requests. The arguments are those of Start.
func StartCluster(t testing.TB, size int, args ...string) []*Server {
	t.Helper()
	servers := make([]*Server, size)
	for i := range servers {
		servers[i] = startNode(t, args)
		first, last := i*slots/size, (i+1)*slots/size-1
		servers[i].ask(t, "CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(first), fmt.Sprint(last))
	}
	for _, s := range servers[1:] {
		host, port, bus := s.cluster()
		servers[0].ask(t, "CLUSTER", "MEET", host, port, bus)
	}
	for _, s := range servers {
		s.awaitCluster(t, size)
	}
	return servers
}

func startNode(t testing.TB, args []string) *Server {
	t.Helper()
	ports := freePorts(t, 2)
	s := &Server{Address: net.JoinHostPort("127.0.0.1", ports[0]), dir: makeDir(t), busPort: ports[1]}
	s.args = append([]string{
		"--bind", "127.0.0.1", "--port", ports[0], "--cluster-enabled", "yes", "--cluster-port", ports[1],
	}, args...)
	t.Cleanup(s.Kill)
	s.start(t)
	return s
}

// freePorts finds loopback ports that nobody listens on.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
	}
	return ports
}

func (s *Server) cluster() (host, port, bus string) {
	host, port, _ = net.SplitHostPort(s.Address)
	return host, port, s.busPort
}

// ask sends a command to this server alone and returns its answer.
func (s *Server) ask(t testing.TB, command ...string) string {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{s.Address}, ForceSingleClient: true, DisableCache: true,
	})
	if err != nil {
		t.Fatalf("connect to %s: %v", s.Address, err)
	}
	defer client.Close()
	answer, err := client.Do(context.Background(), client.B().Arbitrary(command...).Build()).ToString()
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	return answer
}

// awaitCluster waits until this server knows the others and all slots.
func (s *Server) awaitCluster(t testing.TB, size int) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.After(patience); ; {
		info := s.ask(t, "CLUSTER", "INFO")
		if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_size:%d\r", size)) {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("the cluster was not ready after %v:\n%s", patience, info)
		}
	}
}
