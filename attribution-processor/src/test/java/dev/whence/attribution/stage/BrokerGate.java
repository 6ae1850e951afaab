package dev.whence.attribution.stage;

import java.io.Closeable;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.protocol.ApiKeys;

/**
 * Stands between a broker and its clients and sees what passes: so a test knows, and decides, at
 * which point of the protocol a process is when something happens to it, and the process needs no
 * hook for it.
 *
 * <pre>
 * client -- request --> gate -- request --> broker
 *        <- response --      <- response --
 * </pre>
 *
 * <p>A request begins with size, API key, API version, correlation id and client id, a response
 * with size and correlation id (Kafka protocol guide, "Request Header"); nothing else is looked at.
 * The broker must advertise the gate's address ({@link #advertised}), else clients find a way round
 * it. It stays open while the broker is down: then it refuses at once.
 */
final class BrokerGate implements AutoCloseable {
  /** API key, version, correlation id, and the length of the client id. */
  private static final int REQUEST_HEADER = 2 + 2 + 4 + 2;

  private static final int LARGEST = 256 << 20;

  /** Which way something goes. */
  enum Way {
    REQUEST,
    RESPONSE
  }

  /**
   * What passes.
   *
   * @param client client id of who asks
   * @param api what is asked
   * @param way whether it is the question or the answer
   */
  record Passage(String client, ApiKeys api, Way way) {}

  private final ServerSocket door;
  private final List<Stop> stops = new ArrayList<>();
  private final Map<Passage, Integer> passed = new HashMap<>();
  private final Set<Closeable> open = ConcurrentHashMap.newKeySet();
  private volatile int broker;

  private BrokerGate(ServerSocket door) {
    this.door = door;
  }

  /** A gate on a free port of 127.0.0.1 that leads nowhere yet. */
  static BrokerGate open() throws IOException {
    BrokerGate gate = new BrokerGate(new ServerSocket(0, 64, InetAddress.getLoopbackAddress()));
    gate.run("gate", gate::admit);
    return gate;
  }

  /** Where the gate leads from now on. */
  void leadTo(int port) {
    broker = port;
  }

  /** Where clients find it. */
  String address() {
    return "127.0.0.1:" + door.getLocalPort();
  }

  /** With this configuration a broker sends its clients here. */
  Map<String, String> advertised() {
    return Map.of("advertised.listeners", "PLAINTEXT://" + address());
  }

  /** How often this has come here so far. */
  synchronized int passed(Passage passage) {
    return passed.getOrDefault(passage, 0);
  }

  /**
   * Stops one passage, and what comes behind it on its connection.
   *
   * @param before so many of the kind pass first
   */
  synchronized Stop stop(Passage passage, int before) {
    Stop stop = new Stop(passage, before);
    stops.add(stop);
    return stop;
  }

  private synchronized Optional<Stop> arrived(Passage passage) {
    passed.merge(passage, 1, Integer::sum);
    for (Stop stop : stops) {
      if (stop.passage.equals(passage) && stop.before-- == 0) {
        stops.remove(stop);
        return Optional.of(stop);
      }
    }
    return Optional.empty();
  }

  /** A passage that does not go on by itself. */
  final class Stop {
    private final Passage passage;
    private final CountDownLatch reached = new CountDownLatch(1);
    private final CountDownLatch ended = new CountDownLatch(1);
    private int before;
    private volatile boolean goesOn;

    private Stop(Passage passage, int before) {
      this.passage = passage;
      this.before = before;
    }

    /** Waits until it stands here; returns whether it does. */
    boolean isReachedWithin(Duration most) throws InterruptedException {
      return reached.await(most.toMillis(), TimeUnit.MILLISECONDS);
    }

    /** It goes on. */
    void release() {
      end(true);
    }

    /** It never arrives; its connection is closed. */
    void drop() {
      end(false);
    }

    private void end(boolean on) {
      synchronized (BrokerGate.this) {
        stops.remove(this);
      }
      goesOn = on;
      ended.countDown();
    }

    private boolean goesOn() throws IOException {
      reached.countDown();
      try {
        ended.await();
      } catch (InterruptedException e) {
        throw new IOException("the gate was closed", e);
      }
      return goesOn;
    }
  }

  private void admit() throws IOException {
    while (true) {
      Socket client = door.accept();
      open.add(client);
      try {
        Socket server = new Socket(InetAddress.getLoopbackAddress(), broker);
        open.add(server);
        client.setTcpNoDelay(true);
        server.setTcpNoDelay(true);
        Connection connection = new Connection(client, server);
        run("gate-requests", connection::requests);
        run("gate-responses", connection::responses);
      } catch (IOException e) { // the broker is down
        close(client);
      }
    }
  }

  private final class Connection {
    private final Socket client;
    private final Socket server;
    private final Map<Integer, Passage> asked = new ConcurrentHashMap<>();

    Connection(Socket client, Socket server) {
      this.client = client;
      this.server = server;
    }

    void requests() throws IOException {
      pump(client, server, frame -> new Passage(client(frame), api(frame), Way.REQUEST));
    }

    void responses() throws IOException {
      pump(server, client, frame -> answer(frame.getInt(0)));
    }

    private void pump(Socket from, Socket to, java.util.function.Function<ByteBuffer, Passage> read)
        throws IOException {
      try {
        DataInputStream in = new DataInputStream(from.getInputStream());
        DataOutputStream out = new DataOutputStream(to.getOutputStream());
        while (true) {
          int size = in.readInt();
          if (size < 4 || size > LARGEST) {
            throw new IOException("a frame of " + size + " bytes is none of Kafka's");
          }
          ByteBuffer frame = ByteBuffer.allocate(4 + size);
          frame.putInt(0, size);
          in.readFully(frame.array(), 4, size);
          Passage passage = read.apply(frame.slice(4, size));
          Optional<Stop> stop = arrived(passage);
          if (stop.isPresent() && !stop.get().goesOn()) {
            return;
          }
          out.write(frame.array());
        }
      } finally {
        close(client);
        close(server);
      }
    }

    private ApiKeys api(ByteBuffer request) {
      ApiKeys api = ApiKeys.forId(request.getShort(0));
      asked.put(request.getInt(4), new Passage(client(request), api, Way.RESPONSE));
      return api;
    }

    private Passage answer(int correlation) {
      Passage answer = asked.remove(correlation);
      if (answer == null) {
        throw new IllegalStateException("an answer to what nobody asked");
      }
      return answer;
    }
  }

  private static String client(ByteBuffer request) {
    short length = request.getShort(REQUEST_HEADER - 2);
    if (length < 0) {
      return "";
    }
    byte[] name = new byte[length];
    request.get(REQUEST_HEADER, name);
    return new String(name, StandardCharsets.UTF_8);
  }

  private interface Task {
    void run() throws IOException;
  }

  /** A connection that breaks, here or there, is what the tests are about. */
  private void run(String name, Task task) {
    Thread thread =
        new Thread(
            () -> {
              try {
                task.run();
              } catch (IOException e) {
                return;
              }
            },
            name);
    thread.setDaemon(true);
    thread.start();
  }

  private void close(Closeable socket) {
    open.remove(socket);
    try {
      socket.close();
    } catch (IOException e) {
      throw new IllegalStateException("a socket can not be closed", e);
    }
  }

  @Override
  public void close() throws IOException {
    door.close();
    List.copyOf(open).forEach(this::close);
  }
}
