package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/dev/bench"
	"github.com/unskew/unskew/internal/dev/bench/workload"
	redisstore "github.com/unskew/unskew/internal/onlinestore/redis"
)

// tested is everything that runs during a measurement.
type tested struct {
	options
	plan       *plan.Plan
	orders     [][]workload.Order // of each user
	stateBytes float64
	redis      *bench.Redis
	ours       *process
	floor      *process
	near       *process
	before     float64 // calls per second of the second contestant in the previous row
}

// setUp fills a new redis-server and starts both servers.
func setUp(ctx context.Context, o options) (t *tested, err error) {
	t = &tested{options: o, orders: workload.Orders(11, o.users, o.orders)}
	defer func() {
		if err != nil {
			err = closeAll(err, t)
		}
	}()
	if t.plan, err = compiled(); err != nil {
		return t, err
	}
	if t.redis, err = bench.StartRedis(); err != nil {
		return t, err
	}
	if t.stateBytes, err = fill(ctx, t); err != nil {
		return t, err
	}
	if t.ours, err = startRole(roleServer, o, t.redis.Address); err != nil {
		return t, err
	}
	if t.near, err = startRole(roleNear, o, t.redis.Address); err != nil {
		return t, err
	}
	t.floor, err = startRole(roleFloor, o, t.redis.Address)
	return t, err
}

func fill(ctx context.Context, t *tested) (float64, error) {
	store, err := redisstore.Open(ctx, redisstore.Options{Addresses: []string{t.redis.Address}})
	if err != nil {
		return 0, err
	}
	size, err := workload.Fill(ctx, store, t.plan, t.orders)
	return size, errors.Join(err, store.Close())
}

// closeAll ends everything that was started and joins errors to err.
func closeAll(err error, t *tested) error {
	for _, p := range []*process{t.ours, t.near, t.floor} {
		if p != nil {
			err = errors.Join(err, p.close())
		}
	}
	if t.redis != nil {
		err = errors.Join(err, t.redis.Close())
	}
	return err
}

// process is this program running in another role.
type process struct {
	address string
	cmd     *exec.Cmd
	stdin   io.Closer
}

func startRole(role string, o options, redis string) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-role", role, "-redis", redis)
	if role == o.profiled && o.profile != "" {
		cmd.Args = append(cmd.Args, "-profile", o.profile)
	}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the %s did not start: %w", role, err), p.close())
	}
	p.address = strings.TrimSpace(line)
	return p, nil
}

// close closes the input of the process, which ends it.
func (p *process) close() error { return errors.Join(p.stdin.Close(), p.cmd.Wait()) }
