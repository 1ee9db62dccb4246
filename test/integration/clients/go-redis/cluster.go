package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// What an application does with the cluster mode: "tour PORT PROTOCOL cluster:PRIMARIES [USERNAME PASSWORD]", where PRIMARIES
// is how many the client should see.
func tourCluster(primaries int) {
	protocol, err := strconv.Atoi(os.Args[2])
	must(err)
	options := &redis.ClusterOptions{Addrs: []string{"127.0.0.1:" + os.Args[1]}, Protocol: protocol}
	if len(os.Args) > 5 {
		options.Username, options.Password = os.Args[4], os.Args[5]
	}
	r := redis.NewClusterClient(options)
	clusterData(r, primaries)
	fmt.Println("ok data")
	clusterPipelines(r)
	fmt.Println("ok pipelines")
	clusterTransactions(r)
	fmt.Println("ok transactions")
	answer := redis.NewScript("return {KEYS[1], ARGV[1]}")
	equal(answer.Run(ctx, r, []string{"k"}, "v").Val(), []any{"k", "v"})
	must(r.ScriptFlush(ctx).Err())
	equal(answer.Run(ctx, r, []string{"k"}, "w").Val(), []any{"k", "w"})
	fmt.Println("ok scripts")
	must(r.RPush(ctx, "queue", "job").Err())
	equal(r.BLPop(ctx, 0, "queue").Val(), []string{"queue", "job"})
	equal(r.BLPop(ctx, time.Second, "queue").Err(), redis.Nil)
	fmt.Println("ok blocking")
	clusterMessages(r)
	fmt.Println("ok messages")
}

func clusterNames() []string {
	names := make([]string, 100)
	for index := range names {
		names[index] = fmt.Sprint("c:", index)
	}
	return names
}

func clusterData(r *redis.ClusterClient, primaries int) {
	names := clusterNames()
	for _, name := range names {
		must(r.Set(ctx, name, name, 0).Err())
	}
	for _, name := range names {
		equal(r.Get(ctx, name).Val(), name)
	}
	var count atomic.Int32
	must(r.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		count.Add(1)
		return node.Ping(ctx).Err()
	}))
	equal(int(count.Load()), primaries)
	if primaries == 1 {
		values := make([]any, len(names))
		for index, name := range names {
			values[index] = name
		}
		equal(r.MGet(ctx, names...).Val(), values)
		equal(r.DBSize(ctx).Val(), int64(100))
	}
}

func clusterPipelines(r *redis.ClusterClient) {
	names := clusterNames()
	replies, err := r.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, name := range names {
			pipe.Get(ctx, name)
		}
		return nil
	})
	must(err)
	equal(len(replies), len(names))
	for index, reply := range replies {
		equal(reply.(*redis.StringCmd).Val(), names[index])
	}
}

func clusterTransactions(r *redis.ClusterClient) {
	replies, err := r.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Set(ctx, "{t}a", 1, 0)
		return pipe.Incr(ctx, "{t}a").Err()
	})
	must(err)
	equal(replies[1].(*redis.IntCmd).Val(), int64(2))
	must(r.Watch(ctx, func(tx *redis.Tx) error {
		equal(tx.Get(ctx, "{t}a").Val(), "2")
		_, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			return pipe.Set(ctx, "{t}b", "mine", 0).Err()
		})
		return err
	}, "{t}a", "{t}b"))
	equal(r.Get(ctx, "{t}b").Val(), "mine")
}

func clusterMessages(r *redis.ClusterClient) {
	subscriber := r.Subscribe(ctx, "news")
	defer subscriber.Close()
	must(subscriber.PSubscribe(ctx, "n*"))
	shard := r.SSubscribe(ctx, "shard")
	defer shard.Close()
	got := []string{}
	until("the messages come", func() bool {
		must(r.Publish(ctx, "news", "a").Err())
		must(r.SPublish(ctx, "shard", "s").Err())
		for _, messages := range []<-chan *redis.Message{subscriber.Channel(), shard.Channel()} {
			select {
			case message := <-messages:
				got = append(got, message.Pattern+" "+message.Channel+" "+message.Payload)
			default:
			}
		}
		slices.Sort(got)
		got = slices.Compact(got)
		return len(got) == 3
	})
	equal(got, []string{" news a", " shard s", "n* news a"})
}
