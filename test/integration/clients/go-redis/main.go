// What an application does with go-redis, through the address that it is given.
//
// Usage: tour PORT PROTOCOL TOPOLOGY [USERNAME PASSWORD]. Prints "ok ..." per step; after "restart", "disturb" and "calm"
// it reads a line. TOPOLOGY is what stands behind the address.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	ctx      = context.Background()
	input    = bufio.NewReader(os.Stdin)
	topology = os.Args[3]
	// Several servers that share the keys have one database.
	hasDatabases = topology == "standalone" || topology == "replication"
)

type step struct {
	name string
	run  func(r, two *redis.Client)
}

func main() {
	if count, isCluster := strings.CutPrefix(topology, "cluster:"); isCluster {
		primaries, err := strconv.Atoi(count)
		must(err)
		tourCluster(primaries)
		return
	}
	open := func(db int) *redis.Client {
		protocol, err := strconv.Atoi(os.Args[2])
		must(err)
		options := &redis.Options{
			Addr:       "127.0.0.1:" + os.Args[1],
			Protocol:   protocol,
			ClientName: "app",
			DB:         db,
		}
		if len(os.Args) > 5 {
			options.Username, options.Password = os.Args[4], os.Args[5]
		}
		return redis.NewClient(options)
	}
	second := 0
	if hasDatabases {
		second = 2
	}
	r, two := open(0), open(second)
	run := func(steps ...step) {
		for _, step := range steps {
			step.run(r, two)
			fmt.Println("ok", step.name)
		}
	}
	ask("disturb")
	end := func() {}
	if topology == "cluster" {
		end = startLoad(open(0))
	}
	run(
		step{"data", data},
		step{"keys", keys},
		step{"scripts", scripts},
		step{"messages", messages},
		step{"blocking", blocking},
	)
	ask("calm")
	end()
	run(
		// Of commands on one key in one pipeline, the first may be refused with TRYAGAIN when its slot goes elsewhere between.
		step{"pipelines", pipelines},
		step{"large", large},
		step{"transactions", transactions},
		step{"connections", connections},
		step{"restart", restart},
	)
}

func ask(what string) {
	fmt.Println(what)
	_, err := input.ReadString('\n')
	must(err)
}

// Counts, in several ways, until it is ended: nothing fails, and nothing is counted twice or not at all.
func startLoad(r *redis.Client) func() {
	isEnding, ended := make(chan struct{}), make(chan int64)
	go func() {
		for count := int64(1); ; count++ {
			text := fmt.Sprint(count)
			counted, err := r.Incr(ctx, "load:count").Result()
			must(err)
			equal(counted, count)
			replies, err := countBoth(r)
			must(err)
			equal(replies[1].(*redis.IntCmd).Val(), count)
			must(r.MSet(ctx, "load:count2", text, "load:other", text).Err())
			equal(r.MGet(ctx, "load:count2", "load:other").Val(), []any{text, text})
			select {
			case <-isEnding:
				ended <- count
				return
			default:
			}
		}
	}()
	return func() {
		close(isEnding)
		<-ended
	}
}

// A transaction whose slot went elsewhere meanwhile is refused as a whole, and says so; then it is tried again.
func countBoth(r *redis.Client) ([]redis.Cmder, error) {
	for {
		replies, err := r.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Incr(ctx, "{load}:a")
			return pipe.Incr(ctx, "{load}:b").Err()
		})
		if err == nil || !(strings.HasPrefix(err.Error(), "TRYAGAIN") || strings.HasPrefix(err.Error(), "EXECABORT")) {
			return replies, err
		}
	}
}

func restart(r, two *redis.Client) {
	subscriber := r.Subscribe(ctx, "later")
	_, err := subscriber.Receive(ctx)
	must(err)
	messages := subscriber.Channel()
	must(r.Set(ctx, "before", 1, 0).Err())
	ask("restart")
	until("it is read again", func() bool { return r.Get(ctx, "before").Val() == "1" })
	if hasDatabases {
		equal(get(two, "here"), "two")
	}
	until("the subscription is back", func() bool {
		must(r.Publish(ctx, "later", "again").Err())
		select {
		case message := <-messages:
			return message.Payload == "again"
		default:
			return false
		}
	})
}

func get(r *redis.Client, key string) string {
	text, err := r.Get(ctx, key).Result()
	must(err)
	return text
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(got, wanted any) {
	if !reflect.DeepEqual(got, wanted) {
		panic(fmt.Sprintf("got %.200s, wanted %.200s", fmt.Sprint(got), fmt.Sprint(wanted)))
	}
}

func until(what string, isTrue func() bool) {
	deadline := time.Now().Add(10 * time.Second)
	for !isTrue() {
		if time.Now().After(deadline) {
			panic("not in time: " + what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
