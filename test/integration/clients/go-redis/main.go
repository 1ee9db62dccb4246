// What an application does with go-redis, through the address that it is given.
//
// Usage: tour PORT PROTOCOL [USERNAME PASSWORD]. Prints "ok ..." per step; after "restart" it reads a line.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

var ctx = context.Background()

func main() {
	open := func(db int) *redis.Client {
		protocol, err := strconv.Atoi(os.Args[2])
		must(err)
		options := &redis.Options{
			Addr:       "127.0.0.1:" + os.Args[1],
			Protocol:   protocol,
			ClientName: "app",
			DB:         db,
		}
		if len(os.Args) > 4 {
			options.Username, options.Password = os.Args[3], os.Args[4]
		}
		return redis.NewClient(options)
	}
	r, two := open(0), open(2)
	steps := []struct {
		name string
		run  func(r, two *redis.Client)
	}{
		{"data", data},
		{"pipelines", pipelines},
		{"transactions", transactions},
		{"scripts", scripts},
		{"messages", messages},
		{"blocking", blocking},
		{"connections", connections},
		{"restart", restart},
	}
	for _, step := range steps {
		step.run(r, two)
		fmt.Println("ok", step.name)
	}
}

func restart(r, two *redis.Client) {
	subscriber := r.Subscribe(ctx, "later")
	_, err := subscriber.Receive(ctx)
	must(err)
	messages := subscriber.Channel()
	must(r.Set(ctx, "before", 1, 0).Err())
	fmt.Println("restart")
	_, err = bufio.NewReader(os.Stdin).ReadString('\n')
	must(err)
	equal(get(r, "before"), "1")
	equal(get(two, "here"), "two")
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
		panic(fmt.Sprintf("got %.200v, wanted %.200v", got, wanted))
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
