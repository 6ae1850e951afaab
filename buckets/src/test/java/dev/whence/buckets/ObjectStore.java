package dev.whence.buckets;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.MultipartUpload;

/**
 * A server that speaks S3 and checks signatures (S3Proxy on a directory), in a process of its own.
 * This JVM's standard settings point to it while it is open.
 */
public final class ObjectStore implements AutoCloseable {
  public static final String SECRET = "a-secret-that-no-log-may-have";
  private static final String BUCKET = "models";
  private static final String PORT = "whence.test.object-store.port";

  private final int port;
  private final Path directory;
  private final Map<String, String> settings = new HashMap<>();
  private Process process;

  private ObjectStore(Path directory, int port) throws IOException {
    this.directory = directory;
    this.port = port;
    this.process = start(directory);
    settings.put("aws.endpointUrlS3", "http://127.0.0.1:" + port);
    settings.put("aws.region", "us-east-1");
    settings.put("aws.accessKeyId", "tester");
    settings.put("aws.secretAccessKey", SECRET);
  }

  /** Starts a server with one bucket. */
  public static ObjectStore open(Path directory) throws Exception {
    int port = port();
    Path data = Files.createDirectories(directory.resolve("data"));
    Files.write(
        directory.resolve("server.properties"),
        List.of(
            "s3proxy.endpoint=http://127.0.0.1:" + port,
            "s3proxy.authorization=aws-v2-or-v4",
            "s3proxy.identity=tester",
            "s3proxy.credential=" + SECRET,
            "jclouds.provider=filesystem-nio2",
            "jclouds.filesystem.basedir=" + data));
    ObjectStore store = new ObjectStore(directory, port);
    try {
      store.await();
      store.settings.forEach(System::setProperty);
      try (S3Client client = store.client()) {
        client.createBucket(request -> request.bucket(BUCKET));
      }
      return store;
    } catch (Exception e) {
      store.close();
      throw e;
    }
  }

  private static Process start(Path directory) throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-cp",
            System.getProperty("java.class.path"),
            "org.gaul.s3proxy.Main",
            "--properties",
            directory.resolve("server.properties").toString())
        .redirectErrorStream(true)
        .redirectOutput(directory.resolve("server.log").toFile())
        .start();
  }

  /** Stops the server; what it has stays on its disk. */
  public void down() {
    process.destroyForcibly().onExit().join();
  }

  /** Starts it again after {@link #down}. */
  public void up() throws Exception {
    process = start(directory);
    await();
  }

  /** The client is made once for a process, so a second server takes the place of the first. */
  private static int port() throws IOException {
    Integer before = Integer.getInteger(PORT);
    if (before != null) {
      return before;
    }
    try (ServerSocket free = new ServerSocket(0)) {
      System.setProperty(PORT, Integer.toString(free.getLocalPort()));
      return free.getLocalPort();
    }
  }

  private void await() throws Exception {
    for (long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60); ; ) {
      try {
        new Socket(InetAddress.getLoopbackAddress(), port).close();
        return;
      } catch (IOException e) {
        if (!process.isAlive() || System.nanoTime() > end) {
          throw new IllegalStateException(
              "no server: " + Files.readString(directory.resolve("server.log")), e);
        }
        Thread.sleep(100);
      }
    }
  }

  /** A path of its bucket. */
  public Path path(String key) {
    return Path.of(URI.create("s3://" + BUCKET + "/" + key));
  }

  /** What a process of its own needs to reach it, as options of java. */
  public List<String> options() {
    List<String> options = new ArrayList<>();
    settings.forEach((name, value) -> options.add("-D" + name + "=" + value));
    return options;
  }

  /** Keys under a prefix. */
  public List<String> keys(String prefix) {
    try (S3Client client = client()) {
      return client
          .listObjectsV2(request -> request.bucket(BUCKET).prefix(prefix))
          .contents()
          .stream()
          .map(object -> object.key())
          .toList();
    }
  }

  /** Keys whose parts lie in the store without being an object. */
  public List<String> unfinished() {
    try (S3Client client = client()) {
      return client.listMultipartUploads(request -> request.bucket(BUCKET)).uploads().stream()
          .map(MultipartUpload::key)
          .toList();
    }
  }

  /** Begins an upload in parts, and tells its id. */
  public String begin(String key) {
    try (S3Client client = client()) {
      return client.createMultipartUpload(request -> request.bucket(BUCKET).key(key)).uploadId();
    }
  }

  /** Removes an object. */
  public void remove(String key) {
    try (S3Client client = client()) {
      client.deleteObject(request -> request.bucket(BUCKET).key(key));
    }
  }

  /** Puts an object, over what is there. */
  public void overwrite(String key, byte[] bytes) {
    try (S3Client client = client()) {
      client.putObject(
          request -> request.bucket(BUCKET).key(key),
          software.amazon.awssdk.core.sync.RequestBody.fromBytes(bytes));
    }
  }

  private S3Client client() {
    return S3Client.builder()
        .httpClientBuilder(
            software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient.builder())
        .forcePathStyle(true)
        .endpointOverride(URI.create(settings.get("aws.endpointUrlS3")))
        .build();
  }

  @Override
  public void close() {
    settings.keySet().forEach(System::clearProperty);
    process.destroyForcibly().onExit().join();
  }
}
