package redisconn

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"
)

// emptyBatch is how many keys one scan step is asked for.
const emptyBatch = 1000

// Empty removes every key of the namespace, for namespaces that were made to be
// thrown away. It looks at every key of the servers.
func (c *Conn) Empty(ctx context.Context) error {
	masters, err := c.Masters(ctx)
	if err != nil {
		return fmt.Errorf("empty namespace %s: %w", c.namespace, err)
	}
	for _, master := range masters {
		for cursor := uint64(0); ; {
			// A namespace has no character that a pattern reads as anything but itself.
			page, err := master.Do(ctx, master.B().Scan().Cursor(cursor).Match(c.namespace+":*").Count(emptyBatch).Build()).AsScanEntry()
			if err != nil {
				return fmt.Errorf("empty namespace %s: %w", c.namespace, err)
			}
			unlinks := make(rueidis.Commands, len(page.Elements))
			for i, name := range page.Elements {
				unlinks[i] = c.B().Unlink().Key(name).Build()
			}
			for _, answer := range c.DoMulti(ctx, unlinks...) {
				if err := answer.Error(); err != nil {
					return fmt.Errorf("empty namespace %s: %w", c.namespace, err)
				}
			}
			if cursor = page.Cursor; cursor == 0 {
				break
			}
		}
	}
	return nil
}
