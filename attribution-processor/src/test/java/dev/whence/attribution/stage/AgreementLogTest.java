package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpServer;
import dev.whence.attribution.confidence.Calibrator;
import dev.whence.attribution.confidence.Features;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.Agreement;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificDatumWriter;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What becomes of pairs by what the registry answers, as the follower would tell of them. */
@Timeout(60)
class AgreementLogTest {
  private static final int GIVEN = 7;
  private static final int REFUSED = 8;
  private static final int REFUSED_TOO = 9;

  private final Set<Integer> refused = ConcurrentHashMap.newKeySet();

  /** Schemas that are given only after so many more questions. */
  private final Map<Integer, Integer> away = new ConcurrentHashMap<>();

  private final AtomicInteger questions = new AtomicInteger();
  private final Calibrator calibrator = new Calibrator(100, 1000, .9);
  private final List<ConsumerRecord<byte[], byte[]>> topic = new ArrayList<>();
  private HttpServer registry;
  private AgreementLog log;

  @BeforeEach
  void open() throws IOException {
    registry = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    byte[] schema =
        new ObjectMapper()
            .writeValueAsBytes(Map.of("schema", Agreement.getClassSchema().toString()));
    byte[] no = "{\"error_code\":40301,\"message\":\"denied\"}".getBytes(StandardCharsets.UTF_8);
    registry.createContext(
        "/schemas/ids/",
        exchange -> {
          questions.incrementAndGet();
          String path = exchange.getRequestURI().getPath();
          int id = Integer.parseInt(path.substring(path.lastIndexOf('/') + 1));
          Integer noMore = away.computeIfPresent(id, (same, times) -> times - 1);
          boolean given = !refused.contains(id) && (noMore == null || noMore < 0);
          byte[] body = given ? schema : no;
          exchange.sendResponseHeaders(given ? 200 : 403, body.length);
          exchange.getResponseBody().write(body);
          exchange.close();
        });
    registry.start();
    log =
        new AgreementLog(
            new Clients(
                Connection.of(
                    "127.0.0.1:1", "http://127.0.0.1:" + registry.getAddress().getPort())),
            "agreements",
            calibrator,
            why -> {});
  }

  @AfterEach
  void close() {
    log.close();
    registry.stop(0);
  }

  @Test
  void aPairWhoseSchemaIsRefusedIsLeftOutWhereThatOfAnotherIsGiven() throws Exception {
    refused.add(REFUSED);
    add(GIVEN, REFUSED, REFUSED, GIVEN);
    assertThat(rounds(5)).isEqualTo(AgreementLog.TRIES - 1);
    assertThat(pairs()).isEqualTo(2);
    int asked = questions.get();
    add(REFUSED, REFUSED, GIVEN);
    assertThat(rounds(3)).isZero();
    assertThat(pairs()).isEqualTo(3);
    assertThat(questions).as("nor is it asked for again at once").hasValue(asked);
  }

  @Test
  void alsoWhereItIsTheFirstOneThatThereIs() throws Exception {
    refused.addAll(Set.of(REFUSED, REFUSED_TOO));
    add(REFUSED, REFUSED, REFUSED_TOO, GIVEN, REFUSED, GIVEN);
    assertThat(rounds(8)).isLessThan(7);
    assertThat(pairs()).isEqualTo(2);
  }

  @Test
  void orTheLastOne() throws Exception {
    refused.add(REFUSED);
    add(GIVEN, REFUSED);
    assertThat(rounds(5)).isEqualTo(AgreementLog.TRIES - 1);
    assertThat(pairs()).isEqualTo(1);
  }

  @Test
  void noneIsLeftOutWhileTheRegistryGivesNothing() throws Exception {
    add(GIVEN);
    assertThat(rounds(1)).isZero();
    refused.addAll(Set.of(GIVEN, REFUSED));
    add(GIVEN, REFUSED, GIVEN);
    assertThat(rounds(10)).as("what is remembered of it proves nothing").isEqualTo(10);
    refused.clear();
    assertThat(rounds(1)).isZero();
    assertThat(pairs()).isEqualTo(4);
  }

  @Test
  void norWhereNoneWasEverRead() throws Exception {
    refused.addAll(Set.of(REFUSED, REFUSED_TOO));
    add(REFUSED, REFUSED_TOO, REFUSED);
    assertThat(rounds(10)).isEqualTo(10);
    refused.clear();
    assertThat(rounds(1)).isZero();
    assertThat(pairs()).isEqualTo(3);
  }

  @Test
  void norWhereTheRegistryWasOnlyAwayUntilItWasAskedForAnother() throws Exception {
    away.put(REFUSED, AgreementLog.TRIES);
    add(GIVEN, REFUSED, REFUSED, GIVEN);
    assertThat(rounds(AgreementLog.TRIES + 1)).isEqualTo(AgreementLog.TRIES);
    assertThat(pairs()).isEqualTo(4);
  }

  @Test
  void norWhereItWasAwayUntilAPairWasReadBehindThoseThatWerePassedOver() throws Exception {
    away.put(REFUSED, AgreementLog.TRIES);
    refused.add(REFUSED_TOO);
    add(REFUSED, REFUSED_TOO, GIVEN, REFUSED);
    // As often again, now that one is given, for the one that is refused.
    int failures = AgreementLog.TRIES + AgreementLog.TRIES - 1;
    assertThat(rounds(failures + 1)).isEqualTo(failures);
    assertThat(pairs()).isEqualTo(3);
  }

  /** Reads the topic from its beginning again and again; returns how often that failed. */
  private int rounds(int times) {
    int failures = 0;
    for (int i = 0; i < times; i++) {
      try {
        log.begin(topic.size());
        topic.forEach(log::take);
        log.reached();
      } catch (EnvironmentException e) {
        assertThat(e).hasMessageContaining("403");
        failures++;
      }
    }
    return failures;
  }

  private int pairs() {
    return calibrator.known("fast").pairs();
  }

  private void add(int... schemas) throws IOException {
    for (int schema : schemas) {
      topic.add(new ConsumerRecord<>("agreements", 0, topic.size(), new byte[0], value(schema)));
    }
  }

  private static byte[] value(int schema) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    bytes.write(ByteBuffer.allocate(5).put((byte) 0).putInt(schema).array());
    BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
    new SpecificDatumWriter<>(Agreement.class)
        .write(
            Agreement.newBuilder()
                .setResponseId("r")
                .setFastScorer("fast")
                .setTargetScorer("target")
                .setFeatures(
                    Features.NAMES.stream()
                        .collect(Collectors.toMap(Function.identity(), name -> 1.0)))
                .build(),
            encoder);
    encoder.flush();
    return bytes.toByteArray();
  }
}
