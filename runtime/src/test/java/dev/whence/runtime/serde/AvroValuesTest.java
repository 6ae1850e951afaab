package dev.whence.runtime.serde;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import com.sun.net.httpserver.HttpServer;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.LlmResponse;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Whose fault it is that a value can not be read, by what the registry answers. */
@Timeout(60)
class AvroValuesTest {
  /** Of schema id 7: the text "a". */
  private static final byte[] VALUE = {0, 0, 0, 0, 7, 2, 'a'};

  private static final String WRITER =
      "{'type':'record','name':'LlmResponse','namespace':'dev.whence.schemas.avro','fields':["
          + "{'name':'responseId','type':'string'}]}";

  private static final String REFERRING =
      WRITER.replace("}]}", "},{'name':'mark','type':'test.Mark'}]}");

  /** Takes no bytes. */
  private static final String REFERRED_TO =
      "{'type':'record','name':'Mark','namespace':'test','fields':[]}";

  private static final String REFERENCE = "[{'name':'test.Mark','subject':'mark','version':1}]";

  @Test
  void aSchemaOfAnotherTypeIsTheRecordsFault() throws Exception {
    assertThat(
            unreadable(200, "{\"schemaType\":\"PROTOBUF\",\"schema\":\"syntax = \\\"proto3\\\";\"}")
                .code())
        .isEqualTo("WRONG_SCHEMA");
    assertThat(unreadable(200, "{\"schemaType\":\"JSON\",\"schema\":\"{}\"}").code())
        .isEqualTo("WRONG_SCHEMA");
  }

  @Test
  void anIdThatTheRegistryDoesNotKnowIsTheRecordsFault() throws Exception {
    assertThat(unreadable(404, "{\"error_code\":40403,\"message\":\"Schema 7 not found\"}").code())
        .isEqualTo("UNKNOWN_SCHEMA");
  }

  @Test
  void anyOtherNotFoundIsTheEnvironments() throws Exception {
    for (String body : new String[] {"<html>no such page</html>", "{\"error_code\":404}"}) {
      assertThat(failure(404, body)).isInstanceOf(EnvironmentException.class);
    }
    assertThat(failure(500, "{\"error_code\":50001,\"message\":\"store\"}"))
        .isInstanceOf(EnvironmentException.class);
  }

  /** Of a gateway before it, say. */
  @Test
  void anAnswerWithoutASchemaIsTheEnvironmentsAndIsForgotten() throws Exception {
    for (String nothing :
        List.of("{}", "null", "{\"message\":\"login\"}", "[]", "\"down\"", "<html/>", "")) {
      try (Answers answers = new Answers();
          AvroValues values = answers.values()) {
        answers.give("/schemas/ids/7", 200, nothing);
        waitsUntil(
            () -> answers.give("/schemas/ids/7", 200, schema(WRITER, "[]")), values, nothing);
      }
    }
  }

  @Test
  void soIsOneWithoutWhatTheSchemaRefersTo() throws Exception {
    for (String nothing : List.of("500", "404", "{}", "null", "{\"message\":\"login\"}")) {
      try (Answers answers = new Answers();
          AvroValues values = answers.values()) {
        answers.give("/schemas/ids/7", 200, schema(REFERRING, REFERENCE));
        answers.give(
            "/subjects/mark/versions/1",
            nothing.length() == 3 ? Integer.parseInt(nothing) : 200,
            nothing);
        waitsUntil(
            () -> answers.give("/subjects/mark/versions/1", 200, schema(REFERRED_TO, "[]")),
            values,
            nothing);
      }
    }
  }

  @Test
  void aSchemaThatIsNoAvroThoughTheRegistrySaysSoIsTheRecordsFault() throws Exception {
    assertThat(unreadable(200, schema("{'type':'strange'}", "[]")).code())
        .isEqualTo("WRONG_SCHEMA");
  }

  @Test
  void bytesThatAreLeftOverAreTheRecordsFault() throws Exception {
    try (Answers answers = new Answers();
        AvroValues values = answers.values()) {
      answers.give("/schemas/ids/7", 200, schema(WRITER, "[]"));
      assertThat(read(values, VALUE).getResponseId()).isEqualTo("a");
      UnreadableException longer =
          catchThrowableOfType(
              UnreadableException.class, () -> read(values, with(VALUE, (byte) 0)));
      assertThat(longer.code()).isEqualTo("UNDECODABLE");
      assertThat(longer)
          .hasMessage("the value of 8 bytes has bytes left over after its Avro of schema id 7");
    }
  }

  @Test
  void aFieldAtTheEndThatTheReaderDoesNotKnowIsNotLeftOver() throws Exception {
    String newer = WRITER.replace("}]}", "},{'name':'newer','type':'string'}]}");
    byte[] value = with(VALUE, (byte) 4, (byte) 'b', (byte) 'c');
    try (Answers answers = new Answers();
        AvroValues values = answers.values()) {
      answers.give("/schemas/ids/7", 200, schema(newer, "[]"));
      assertThat(read(values, value).getResponseId()).isEqualTo("a");
      assertThat(
              catchThrowableOfType(
                      UnreadableException.class, () -> read(values, with(value, (byte) 0)))
                  .code())
          .isEqualTo("UNDECODABLE");
    }
  }

  /** Nine bytes say that there are 2^62 of them, and skipping them would never end. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "'null'",
        "{'type':'record','name':'Empty','fields':[]}",
        "{'type':'record','name':'Empty','fields':[{'name':'a','type':'null'},"
            + "{'name':'b','type':{'type':'fixed','name':'None','size':0}}]}",
        "{'type':'record','name':'Outer','fields':[{'name':'a','type':"
            + "{'type':'record','name':'Empty','fields':[]}}]}",
      })
  void anArrayOfItemsWithoutBytesIsRefused(String item) throws Exception {
    for (String type :
        List.of(
            "{'type':'array','items':" + item + "}",
            "{'type':'map','values':['null',{'type':'array','items':" + item + "}]}",
            "{'type':'record','name':'Tree','fields':[{'name':'next','type':['null','Tree']},"
                + "{'name':'more','type':{'type':'array','items':"
                + item
                + "}}]}")) {
      byte[] items = {-2, -1, -1, -1, -1, -1, -1, -1, 127}; // 2^62 - 1
      UnreadableException refused = refused(newer(type), with(VALUE, items));
      assertThat(refused)
          .hasMessage(
              "schema id 7 has an array of items that take no bytes, more than 1000 fields in what"
                  + " is repeated, or more than 100000 fields");
    }
  }

  /** Each record holds the one before twice: 2^40 fields in forty lines. */
  @ParameterizedTest
  @ValueSource(strings = {"null", "int"})
  void aSchemaThatIsHugeWhenWrittenOutIsRefused(String leaf) throws Exception {
    String type = "{'type':'record','name':'R0','fields':[{'name':'a','type':'" + leaf + "'}]}";
    for (int i = 1; i <= 40; i++) {
      type =
          "{'type':'record','name':'R%d','fields':[{'name':'a','type':%s},{'name':'b','type':'R%d'}]}"
              .formatted(i, type, i - 1);
    }
    assertThat(refused(newer(type), VALUE)).hasMessageContaining("more than 100000 fields");
  }

  /** One byte each, for which all the nulls are read. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'type':'array','items':{'type':'record','name':'Wide','fields':[%s]}}",
        "{'type':'map','values':{'type':'record','name':'Wide','fields':[%s]}}",
        "{'type':'record','name':'Wide','fields':[%s,{'name':'next','type':['null','Wide']}]}",
      })
  void itemsThatAreWideForTheirBytesAreRefused(String type) throws Exception {
    for (int nulls : new int[] {999, 99_000}) {
      assertThat(refused(newer(type.formatted(wide(nulls))), VALUE))
          .hasMessageContaining("more than 1000 fields in what is repeated");
    }
  }

  /** With the record itself and the boolean it has a thousand parts. */
  @Test
  void anItemOfAThousandPartsIsRead() throws Exception {
    try (Answers answers = new Answers();
        AvroValues values = answers.values()) {
      answers.give(
          "/schemas/ids/7",
          200,
          schema(
              newer(
                  "{'type':'array','items':{'type':'record','name':'Wide','fields':["
                      + wide(998)
                      + "]}}"),
              "[]"));
      assertThat(read(values, with(VALUE, (byte) 2, (byte) 1, (byte) 0)).getResponseId())
          .isEqualTo("a");
    }
  }

  private static String wide(int nulls) {
    return IntStream.range(0, nulls)
            .mapToObj(i -> "{'name':'n" + i + "','type':'null'},")
            .collect(Collectors.joining())
        + "{'name':'b','type':'boolean'}";
  }

  private static String newer(String type) {
    return WRITER.replace("}]}", "},{'name':'newer','type':" + type + "}]}");
  }

  @Test
  void aSchemaThatRefersToItselfIsRead() throws Exception {
    String tree =
        "{'type':'record','name':'Tree','fields':[{'name':'mark','type':'null'},"
            + "{'name':'under','type':{'type':'array','items':'Tree'}}]}";
    try (Answers answers = new Answers();
        AvroValues values = answers.values()) {
      answers.give("/schemas/ids/7", 200, schema(newer(tree), "[]"));
      // one tree under the root, and none under that
      assertThat(read(values, with(VALUE, (byte) 2, (byte) 0, (byte) 0)).getResponseId())
          .isEqualTo("a");
    }
  }

  private static UnreadableException refused(String writer, byte[] value) throws Exception {
    try (Answers answers = new Answers();
        AvroValues values = answers.values()) {
      answers.give("/schemas/ids/7", 200, schema(writer, "[]"));
      UnreadableException refused =
          assertTimeoutPreemptively(
              Duration.ofSeconds(10),
              () -> catchThrowableOfType(UnreadableException.class, () -> read(values, value)));
      assertThat(refused.code()).isEqualTo("WRONG_SCHEMA");
      return refused;
    }
  }

  /** The path of the look-up of an id, with a query that names no soft-deleted ones. */
  @ParameterizedTest
  @CsvSource({
    "200,{}",
    "200,null",
    "200,[]",
    "200,<html/>",
    "401,{}",
    "403,{}",
    "429,{}",
    "502,''",
    "503,{}",
    "504,''"
  })
  void noAnswerToWhoeverWritesIsEverHeldAgainstTheValue(int status, String body) throws Exception {
    LlmResponse value = read();
    try (Answers answers = new Answers();
        AvroValues values = answers.values()) {
      String path = "/subjects/t-value";
      answers.give(path, status, body);
      assertThat(catchThrowableOfType(Exception.class, () -> values.write("t", value)))
          .isInstanceOf(EnvironmentException.class);
      answers.give(
          path,
          200,
          "{\"subject\":\"t-value\",\"version\":1,\"id\":9,\"schema\":\"\\\"string\\\"\"}");
      assertThat(values.write("t", value)).startsWith(0, 0, 0, 0, 9);
    }
  }

  @Test
  void aRegistryThatSwallowsRequestsIsGivenUpSoon() throws Exception {
    try (ServerSocket silent = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        AvroValues values =
            new AvroValues(
                Connection.of("unused:1", "http://127.0.0.1:" + silent.getLocalPort()))) {
      long began = System.nanoTime();
      assertThat(catchThrowableOfType(EnvironmentException.class, () -> read(values)))
          .hasMessageContaining("can not be reached");
      LlmResponse value = read();
      assertThat(catchThrowableOfType(Exception.class, () -> values.write("t", value)))
          .isInstanceOf(EnvironmentException.class);
      assertThat(Duration.ofNanos(System.nanoTime() - began)).isLessThan(Duration.ofSeconds(40));
    }
  }

  private static void waitsUntil(Runnable mended, AvroValues values, String answer)
      throws UnreadableException {
    assertThat(catchThrowableOfType(Exception.class, () -> read(values)))
        .as(answer)
        .isInstanceOf(EnvironmentException.class);
    mended.run();
    assertThat(read(values).getResponseId()).as(answer).isEqualTo("a");
  }

  private static LlmResponse read() throws Exception {
    try (Answers answers = new Answers();
        AvroValues values = answers.values()) {
      answers.give("/schemas/ids/7", 200, schema(WRITER, "[]"));
      return read(values);
    }
  }

  private static UnreadableException unreadable(int status, String body) throws IOException {
    Throwable thrown = failure(status, body);
    assertThat(thrown).isInstanceOf(UnreadableException.class);
    return (UnreadableException) thrown;
  }

  private static Throwable failure(int status, String body) throws IOException {
    try (Answers answers = new Answers();
        AvroValues values = answers.values()) {
      answers.give("/schemas/ids/7", status, body);
      return catchThrowableOfType(Exception.class, () -> read(values));
    }
  }

  private static String schema(String avro, String references) {
    return "{'version':1,'id':7,'schema':'%s','references':%s}"
        .replace('\'', '"')
        .formatted(avro.replace("'", "\\\""), references.replace('\'', '"'));
  }

  /** A registry, or what stands before it. */
  private static final class Answers implements AutoCloseable {
    private final Map<String, Answer> given = new ConcurrentHashMap<>();
    private final HttpServer server;

    private record Answer(int status, String body) {}

    Answers() throws IOException {
      server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
      server.createContext(
          "/",
          exchange -> {
            Answer answer =
                given.getOrDefault(exchange.getRequestURI().getPath(), new Answer(500, ""));
            exchange.getRequestBody().readAllBytes();
            byte[] body = answer.body.getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(answer.status, body.length == 0 ? -1 : body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
          });
      server.start();
    }

    void give(String path, int status, String body) {
      given.put(path, new Answer(status, body));
    }

    AvroValues values() {
      return new AvroValues(
          Connection.of("unused:1", "http://127.0.0.1:" + server.getAddress().getPort()));
    }

    @Override
    public void close() {
      server.stop(0);
    }
  }

  private static LlmResponse read(AvroValues values) throws UnreadableException {
    return read(values, VALUE);
  }

  private static LlmResponse read(AvroValues values, byte[] value) throws UnreadableException {
    return values.read(value, LlmResponse.class, LlmResponse.getClassSchema());
  }

  private static byte[] with(byte[] value, byte... more) {
    return ByteBuffer.allocate(value.length + more.length).put(value).put(more).array();
  }
}
