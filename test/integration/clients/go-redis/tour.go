package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

func data(r, _ *redis.Client) {
	must(r.Ping(ctx).Err())
	must(r.Set(ctx, "text", "w\xf6rld\r\n\x00", 100*time.Second).Err())
	equal(get(r, "text"), "w\xf6rld\r\n\x00")
	equal(r.Get(ctx, "missing").Err(), redis.Nil)
	equal(r.IncrBy(ctx, "number", 5).Val(), int64(5))
	equal(r.MGet(ctx, "number", "missing").Val(), []any{"5", nil})
	must(r.HSet(ctx, "hash", "a", 1, "b", 2).Err())
	equal(r.HGetAll(ctx, "hash").Val(), map[string]string{"a": "1", "b": "2"})
	must(r.RPush(ctx, "list", "a", "b", "c").Err())
	equal(r.LRange(ctx, "list", 0, -1).Val(), []string{"a", "b", "c"})
	must(r.SAdd(ctx, "set", "a", "b").Err())
	equal(r.SCard(ctx, "set").Val(), int64(2))
	must(r.ZAdd(ctx, "zset", redis.Z{Score: 1, Member: "a"}, redis.Z{Score: 2.5, Member: "b"}).Err())
	equal(r.ZScore(ctx, "zset", "b").Val(), 2.5)
	id, err := r.XAdd(ctx, &redis.XAddArgs{Stream: "stream", Values: []string{"field", "value"}}).Result()
	must(err)
	entries := r.XRange(ctx, "stream", "-", "+").Val()
	equal(len(entries), 1)
	equal(entries[0].ID, id)
	equal(entries[0].Values, map[string]any{"field": "value"})
	found := map[string]bool{}
	for scan := r.Scan(ctx, 0, "*", 2).Iterator(); scan.Next(ctx); {
		if !strings.Contains(scan.Val(), "load") {
			found[scan.Val()] = true
		}
	}
	equal(len(found), 7)
	fails(r.LPush(ctx, "text", "x").Err(), "WRONGTYPE")
	fails(r.Do(ctx, "NO-SUCH-COMMAND").Err(), "unknown command")
}

func keys(r, _ *redis.Client) {
	names := []string{"m:0", "m:1", "m:2", "m:3", "m:4"}
	must(r.MSet(ctx, "m:0", 0, "m:1", 1, "m:2", 2, "m:3", 3, "m:4", 4).Err())
	equal(r.MGet(ctx, "m:4", "m:none", "m:0", "m:1").Val(), []any{"4", nil, "0", "1"})
	equal(r.Exists(ctx, "m:0", "m:0", "m:none", "m:4").Val(), int64(3))
	equal(r.Unlink(ctx, "m:3", "m:none").Val(), int64(1))
	equal(r.Del(ctx, names...).Val(), int64(4))
	must(r.SAdd(ctx, "{s}:1", "a", "b").Err())
	must(r.SAdd(ctx, "{s}:2", "b", "c").Err())
	equal(r.SInter(ctx, "{s}:1", "{s}:2").Val(), []string{"b"})
	equal(r.SUnionStore(ctx, "{s}:3", "{s}:1", "{s}:2").Val(), int64(3))
	if topology == "cluster" {
		fails(r.Rename(ctx, "{s}:3", "elsewhere").Err(), "CROSSSLOT")
		_, err := r.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Set(ctx, "m:0", 1, 0)
			return pipe.Set(ctx, "m:1", 1, 0).Err()
		})
		// The second command was refused, with CROSSSLOT; this is what came of all.
		fails(err, "EXECABORT")
	}
	equal(r.Del(ctx, "{s}:1", "{s}:2", "{s}:3").Val(), int64(3))
}

func pipelines(r, _ *redis.Client) {
	replies, err := r.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for index := range 5000 {
			pipe.Set(ctx, fmt.Sprint("p:", index), index, 0)
			pipe.Get(ctx, fmt.Sprint("p:", index))
		}
		return nil
	})
	must(err)
	for index := range 5000 {
		equal(replies[2*index+1].(*redis.StringCmd).Val(), fmt.Sprint(index))
	}
}

// It is sent on as it comes: were its slot moved, and the sidecar not told by a small command, it would get TRYAGAIN.
func large(r, _ *redis.Client) {
	equal(r.Del(ctx, "big").Val(), int64(0))
	big := strings.Repeat("x", 8<<20)
	must(r.Set(ctx, "big", big, 0).Err())
	if get(r, "big") != big {
		panic("the large value is another")
	}
	equal(get(r, "number"), "5")
}

func transactions(r, _ *redis.Client) {
	replies, err := r.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Set(ctx, "t", 1, 0)
		pipe.Incr(ctx, "t")
		return nil
	})
	must(err)
	equal(replies[1].(*redis.IntCmd).Val(), int64(2))
	change := func(between func()) error {
		return r.Watch(ctx, func(tx *redis.Tx) error {
			must(tx.Get(ctx, "t").Err())
			between()
			_, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
				return pipe.Set(ctx, "t", "mine", 0).Err()
			})
			return err
		}, "t")
	}
	equal(change(func() { must(r.Set(ctx, "t", "other", 0).Err()) }), redis.TxFailedErr)
	// Another connection wrote it; a replica may not have it yet.
	until("it is what the other wrote", func() bool { return get(r, "t") == "other" })
	must(change(func() {}))
	equal(get(r, "t"), "mine")
}

func scripts(r, _ *redis.Client) {
	answer := redis.NewScript("return {KEYS[1], ARGV[1]}")
	equal(answer.Run(ctx, r, []string{"k"}, "v").Val(), []any{"k", "v"})
	must(r.ScriptFlush(ctx).Err())
	equal(answer.Run(ctx, r, []string{"k"}, "w").Val(), []any{"k", "w"})
	fails(r.EvalSha(ctx, strings.Repeat("0", 40), nil).Err(), "NOSCRIPT")
	library := "#!lua name=tour\nredis.register_function('tour', function(_, args) return args[1] end)"
	equal(r.FunctionLoadReplace(ctx, library).Val(), "tour")
	equal(r.FCall(ctx, "tour", nil, "x").Val(), "x")
}

func messages(r, _ *redis.Client) {
	subscriber := r.Subscribe(ctx, "news")
	defer subscriber.Close()
	_, err := subscriber.Receive(ctx)
	must(err)
	must(subscriber.PSubscribe(ctx, "n*"))
	_, err = subscriber.Receive(ctx)
	must(err)
	count := r.Publish(ctx, "news", "a").Val()
	// A node of a cluster knows its own subscribers only.
	equal(topology == "cluster" || count == 2, true)
	for range 2 {
		message, err := subscriber.ReceiveMessage(ctx)
		must(err)
		equal(message.Payload, "a")
	}
	shard := r.SSubscribe(ctx, "shard")
	defer shard.Close()
	_, err = shard.Receive(ctx)
	must(err)
	heard := shard.Channel()
	until("the message of the shard comes", func() bool {
		must(r.SPublish(ctx, "shard", "s").Err())
		select {
		case message := <-heard:
			return message.Payload == "s"
		default:
			return false
		}
	})
}

func blocking(r, _ *redis.Client) {
	popped := make(chan []string)
	go func() { popped <- r.BLPop(ctx, 0, "queue").Val() }()
	must(r.RPush(ctx, "queue", "job").Err())
	equal(<-popped, []string{"queue", "job"})
	equal(r.BLPop(ctx, time.Second, "queue").Err(), redis.Nil)
	read := make(chan []redis.XStream)
	go func() {
		streams := []string{"live", "0"}
		read <- r.XRead(ctx, &redis.XReadArgs{Streams: streams, Block: 5 * time.Second}).Val()
	}()
	must(r.XAdd(ctx, &redis.XAddArgs{Stream: "live", ID: "1-1", Values: []string{"k", "v"}}).Err())
	equal((<-read)[0].Messages[0].ID, "1-1")
	must(r.XGroupCreate(ctx, "live", "group", "0").Err())
	args := &redis.XReadGroupArgs{Group: "group", Consumer: "me", Streams: []string{"live", ">"}}
	equal(r.XReadGroup(ctx, args).Val()[0].Messages[0].ID, "1-1")
	equal(r.XAck(ctx, "live", "group", "1-1").Val(), int64(1))
}

func connections(r, two *redis.Client) {
	equal(r.ClientGetName(ctx).Val(), "app")
	must(r.ClientID(ctx).Err())
	must(r.ClientList(ctx).Err())
	if hasDatabases {
		must(two.Set(ctx, "here", "two", 0).Err())
		equal(r.Exists(ctx, "here").Val(), int64(0))
		equal(get(two, "here"), "two")
	} else {
		fails(r.Do(ctx, "SELECT", 2).Err(), "ERR")
	}
	must(r.Info(ctx, "server").Err())
	must(r.Wait(ctx, 0, 10*time.Millisecond).Err())
}

func fails(err error, text string) {
	if err == nil || errors.Is(err, redis.Nil) || !strings.Contains(err.Error(), text) {
		panic(fmt.Sprintf("got %v, wanted %q", err, text))
	}
}
