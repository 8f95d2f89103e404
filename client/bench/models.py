# Run by `reeve bench models`: the same work in Python's own ways. Prints one JSON object.
import asyncio, concurrent.futures, http.client, json, sys, time

method, work, port, count, at_once = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
numbers = [100_000 * (1 + i % 5) for i in range(count)]


def get(i):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", f"/{i}")
    body = connection.getresponse().read().decode()
    connection.close()
    return body == f"/{i}"


def add(i):
    n = numbers[i]
    return sum(k * k for k in range(n)) == (n - 1) * n * (2 * n - 1) // 6


def nothing(i):
    time.sleep(0.01)


one = get if work == "io" else add


async def get_async(i, places):
    async with places:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /{i} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length"))
        body = (await reader.readexactly(length)).decode()
        writer.close()
        return body == f"/{i}"


async def all_async():
    places = asyncio.Semaphore(at_once)
    if work == "cpu":
        return [add(i) for i in range(count)]
    return await asyncio.gather(*[get_async(i, places) for i in range(count)])


def timed(call):
    began = time.perf_counter()
    results = call()
    return {"seconds": time.perf_counter() - began, "right": sum(map(bool, results))}


if method == "asyncio":
    answer = timed(lambda: asyncio.run(all_async()))
elif method == "sequential":
    answer = timed(lambda: [one(i) for i in range(count)])
else:
    kind = {"threads": concurrent.futures.ThreadPoolExecutor, "processes": concurrent.futures.ProcessPoolExecutor}[method]
    with kind(max_workers=at_once) as pool:
        list(pool.map(nothing, range(2 * at_once)))  # All are started: Reeve's workers are, too.
        answer = timed(lambda: list(pool.map(one, range(count))))
print(json.dumps(answer))
