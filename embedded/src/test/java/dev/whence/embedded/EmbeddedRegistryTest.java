package dev.whence.embedded;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class EmbeddedRegistryTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String MEDIA_TYPE = "application/vnd.schemaregistry.v1+json";
  private static final String PLAIN = record("");
  private static final String WITH_OPTIONAL =
      record(",{\"name\":\"b\",\"type\":\"string\",\"default\":\"\"}");
  private static final String WITH_REQUIRED = record(",{\"name\":\"b\",\"type\":\"string\"}");

  private final HttpClient http = HttpClient.newHttpClient();

  @TempDir Path directory;
  private EmbeddedRegistry registry;

  record Answer(int status, JsonNode body) {
    int code() {
      return body.path("error_code").asInt();
    }
  }

  @BeforeEach
  void open() throws IOException {
    registry = EmbeddedRegistry.open(directory);
  }

  @AfterEach
  void close() throws IOException {
    registry.close();
  }

  @Test
  void theSameSchemaHasOneIdUnderEverySubjectAndOneVersionPerSubject() throws Exception {
    assertThat(register("a-value", PLAIN).body().path("id").asInt()).isEqualTo(1);
    assertThat(register("a-value", PLAIN).body().path("id").asInt()).isEqualTo(1);
    assertThat(register("b-value", PLAIN).body().path("id").asInt()).isEqualTo(1);
    assertThat(register("b-value", WITH_OPTIONAL).body().path("id").asInt()).isEqualTo(2);

    assertThat(get("/subjects").body().toString()).isEqualTo("[\"a-value\",\"b-value\"]");
    assertThat(get("/subjects/b-value/versions").body().toString()).isEqualTo("[1,2]");
    assertThat(get("/schemas/ids/1/versions").body())
        .isEqualTo(
            JSON.readTree(
                "[{\"subject\":\"a-value\",\"version\":1},{\"subject\":\"b-value\",\"version\":1}]"));
    JsonNode latest = get("/subjects/b-value/versions/latest").body();
    assertThat(latest.path("version").asInt()).isEqualTo(2);
    assertThat(JSON.readTree(latest.path("schema").asText()))
        .isEqualTo(JSON.readTree(WITH_OPTIONAL));
    assertThat(JSON.readTree(get("/schemas/ids/1").body().path("schema").asText()))
        .isEqualTo(JSON.readTree(PLAIN));
    assertThat(get("/subjects/a-value/versions/1/schema").body()).isEqualTo(JSON.readTree(PLAIN));
  }

  @Test
  void aRestartKeepsIdsVersionsAndLevelsAndCountsOn() throws Exception {
    register("a-value", PLAIN);
    register("a-value", WITH_OPTIONAL);
    put("/config", "{\"compatibility\":\"FULL_TRANSITIVE\"}");
    put("/config/a-value", "{\"compatibility\":\"none\"}");

    registry.close();
    registry = EmbeddedRegistry.open(directory);

    assertThat(register("b-value", WITH_OPTIONAL).body().path("id").asInt()).isEqualTo(2);
    assertThat(register("a-value", WITH_REQUIRED).body().path("id").asInt()).isEqualTo(3);
    assertThat(get("/config").body().path("compatibilityLevel").asText())
        .isEqualTo("FULL_TRANSITIVE");
    assertThat(get("/config/a-value").body().path("compatibilityLevel").asText()).isEqualTo("NONE");
  }

  @Test
  void aLineThatACrashCutOffIsDroppedAndItsIdWasNeverGivenOut() throws Exception {
    register("a-value", PLAIN);
    registry.close();
    Files.writeString(
        directory.resolve("schemas.jsonl"),
        "{\"subject\":\"a-value\",\"version\":2,\"id",
        StandardOpenOption.APPEND);

    registry = EmbeddedRegistry.open(directory);

    assertThat(get("/subjects/a-value/versions").body().toString()).isEqualTo("[1]");
    assertThat(register("a-value", WITH_OPTIONAL).body().path("id").asInt()).isEqualTo(2);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{\"subject\":\"a-value\",\"version\":2,\"id",
        "{\"subject\":\"a-value\",\"version\":3,\"id\":2,\"schema\":\"\\\"int\\\"\"}",
        "{\"subject\":\"a-value\",\"version\":2,\"id\":9,\"schema\":\"\\\"int\\\"\"}",
        "{\"subject\":\"a-value\",\"compatibility\":\"SIDEWAYS\"}"
      })
  void aDamagedJournalIsRefusedByLine(String line) throws Exception {
    register("a-value", PLAIN);
    registry.close();
    Files.writeString(directory.resolve("schemas.jsonl"), line + "\n", StandardOpenOption.APPEND);

    assertThatThrownBy(() -> EmbeddedRegistry.open(directory))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("line 2 of")
        .hasMessageContaining("schemas.jsonl");
  }

  /** Adding a field with a default is compatible both ways, without one only forward. */
  @ParameterizedTest
  @CsvSource({
    "NONE, true, true",
    "BACKWARD, true, false",
    "BACKWARD_TRANSITIVE, true, false",
    "FORWARD, true, true",
    "FORWARD_TRANSITIVE, true, true",
    "FULL, true, false",
    "FULL_TRANSITIVE, true, false"
  })
  void levelsDecideInTheirDirection(String level, boolean optional, boolean required)
      throws Exception {
    register("a-value", PLAIN);
    put("/config/a-value", "{\"compatibility\":\"" + level + "\"}");

    assertThat(compatible("a-value", WITH_OPTIONAL)).isEqualTo(optional);
    assertThat(compatible("a-value", WITH_REQUIRED)).isEqualTo(required);
    Answer registered = register("a-value", WITH_REQUIRED);
    assertThat(registered.status()).isEqualTo(required ? 200 : 409);
    if (!required) {
      assertThat(registered.code()).isEqualTo(409);
      assertThat(registered.body().path("message").asText())
          .contains("READER_FIELD_MISSING_DEFAULT_VALUE");
    }
  }

  /** A field leaves and comes back with another type: only the first version minds. */
  @ParameterizedTest
  @CsvSource({"FULL, true", "FULL_TRANSITIVE, false"})
  void onlyTransitiveLevelsLookAtEveryVersion(String level, boolean compatible) throws Exception {
    String first = record(",{\"name\":\"b\",\"type\":\"int\",\"default\":0}");
    String without = PLAIN;
    String other = record(",{\"name\":\"b\",\"type\":\"string\",\"default\":\"\"}");
    put("/config", "{\"compatibility\":\"" + level + "\"}");
    register("a-value", first);
    register("a-value", without);

    assertThat(compatible("a-value", other)).isEqualTo(compatible);
    assertThat(register("a-value", other).status()).isEqualTo(compatible ? 200 : 409);
  }

  @Test
  void errorsHaveTheCodesThatClientsKnow() throws Exception {
    assertThat(get("/subjects/nobody/versions").code()).isEqualTo(40401);
    assertThat(get("/subjects/nobody/versions/latest").code()).isEqualTo(40401);
    register("a-value", PLAIN);
    assertThat(get("/subjects/a-value/versions/2").code()).isEqualTo(40402);
    assertThat(get("/subjects/a-value/versions/0").code()).isEqualTo(42202);
    assertThat(get("/subjects/a-value/versions/newest").code()).isEqualTo(42202);
    assertThat(get("/schemas/ids/2").code()).isEqualTo(40403);
    assertThat(get("/schemas/ids/99999999999").code()).isEqualTo(40403);
    assertThat(post("/subjects/a-value", schema(WITH_OPTIONAL)).code()).isEqualTo(40403);
    assertThat(post("/subjects/nobody", schema(PLAIN)).code()).isEqualTo(40401);
    assertThat(register("a-value", "{\"type\":\"nothing\"}").code()).isEqualTo(42201);
    assertThat(register("a-value", "").code()).isEqualTo(42201);
    assertThat(put("/config", "{\"compatibility\":\"SIDEWAYS\"}").code()).isEqualTo(42203);
    assertThat(get("/config/a-value").code()).isEqualTo(40408);
    assertThat(get("/config/a-value?defaultToGlobal=true").body().path("compatibilityLevel"))
        .hasToString("\"BACKWARD\"");
    assertThat(register("bad%0Aname", PLAIN).code()).isEqualTo(42208);
    assertThat(get("/nothing/here").status()).isEqualTo(404);
    assertThat(post("/subjects/a-value/versions", "[1]").status()).isEqualTo(400);
    assertThat(post("/subjects/a-value/versions", "{").status()).isEqualTo(400);
  }

  @Test
  void whatItDoesNotDoItRefusesClearly() throws Exception {
    Answer references =
        post(
            "/subjects/a-value/versions",
            "{\"schema\":\"\\\"int\\\"\",\"references\":[{\"name\":\"n\",\"subject\":\"s\","
                + "\"version\":1}]}");
    assertThat(references.code()).isEqualTo(42201);
    assertThat(references.body().path("message").asText()).contains("references");
    assertThat(
            post(
                    "/subjects/a-value/versions",
                    "{\"schema\":\"syntax = 1\",\"schemaType\":\"PROTOBUF\"}")
                .code())
        .isEqualTo(42201);
    assertThat(send("DELETE", "/subjects/a-value", "", MEDIA_TYPE).status()).isEqualTo(405);
    assertThat(put("/mode", "{\"mode\":\"READONLY\"}").status()).isEqualTo(405);
    assertThat(get("/subjects").body().toString()).isEqualTo("[]");
  }

  @Test
  void bodiesAreBoundedAndMustBeJson() throws Exception {
    assertThat(post("/subjects/a-value/versions", " ".repeat((1 << 20) + 1)).status())
        .isEqualTo(413);
    assertThat(send("POST", "/subjects/a-value/versions", schema(PLAIN), "text/plain").status())
        .isEqualTo(415);
    String nested =
        "{\"type\":\"array\",\"items\":".repeat(20_000) + "\"int\"" + "}".repeat(20_000);
    assertThat(register("a-value", nested).code()).isEqualTo(42201);
    assertThat(register("a-value", PLAIN).status()).isEqualTo(200);
  }

  @Test
  void aNameThatMerelyResolvesToTheLoopbackAddressIsRefused() throws Exception {
    try (Socket socket = new Socket()) {
      socket.connect(LoopbackPorts.address(registry.port()));
      OutputStream out = socket.getOutputStream();
      out.write(
          "GET /subjects HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n"
              .getBytes(StandardCharsets.US_ASCII));
      String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
      assertThat(answer).startsWith("HTTP/1.1 403");
    }
  }

  @Test
  void aDirectoryOrPortInUseIsRefusedWithOneSentence(@TempDir Path other) {
    assertThatThrownBy(() -> EmbeddedRegistry.open(directory))
        .isInstanceOf(DataDirectoryInUseException.class);
    assertThatThrownBy(() -> EmbeddedRegistry.open(other, registry.port()))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("port " + registry.port() + " of 127.0.0.1 is taken");
  }

  /**
   * A client as it presents itself, recorded of the versions that {@code
   * quickstart/src/test/conformance} pins, and of 7.9.5 for Java.
   *
   * @param headers of every request
   * @param byId what follows {@code /schemas/ids/ID} when it reads a record of {@code a}
   * @param flag how it writes false
   */
  record Client(String name, Map<String, String> headers, String byId, String flag) {
    @Override
    public String toString() {
      return name;
    }
  }

  static Stream<Client> clients() {
    String type = "Content-Type";
    String all = MEDIA_TYPE + ", application/vnd.schemaregistry+json, application/json";
    return Stream.of(
        new Client(
            "io.confluent:kafka-avro-serializer",
            Map.of(
                type,
                MEDIA_TYPE,
                "Accept",
                "text/html, image/gif, image/jpeg, */*; q=0.2",
                "Confluent-Accept-Unknown-Properties",
                "true"),
            "?fetchMaxId=false&subject=a-value",
            "false"),
        new Client("@kafkajs/confluent-schema-registry", Map.of(type, MEDIA_TYPE), "", "false"),
        new Client(
            "@confluentinc/schemaregistry",
            Map.of(
                type,
                MEDIA_TYPE,
                "Accept",
                "application/json, text/plain, */*",
                "Accept-Encoding",
                "gzip, compress, deflate, br",
                "Confluent-Accept-Unknown-Properties",
                "true",
                "Confluent-Client-Version",
                "javascript/1.10.1"),
            "?subject=a-value",
            "false"),
        new Client(
            "confluent-kafka (Python)",
            Map.of("Accept", all, "Confluent-Client-Version", "python/2.16.0"),
            "?subject=a-value",
            "False"));
  }

  @ParameterizedTest
  @MethodSource("clients")
  void everyClientThatReadsARecordGetsItsSchemaByIdAndElseACodeItKnows(Client client)
      throws Exception {
    int id = register("a-value", PLAIN).body().path("id").asInt();

    Answer found = send("GET", "/schemas/ids/" + id + client.byId(), "", client.headers());
    assertThat(found.status()).isEqualTo(200);
    assertThat(JSON.readTree(found.body().path("schema").asText())).isEqualTo(JSON.readTree(PLAIN));
    assertThat(found.body().path("schemaType").asText("AVRO")).isEqualTo("AVRO");

    Answer unknown = send("GET", "/schemas/ids/4711" + client.byId(), "", client.headers());
    assertThat(unknown.status()).isEqualTo(404);
    assertThat(unknown.code()).isEqualTo(40403);
    assertThat(unknown.body().path("message").asText()).contains("4711");
  }

  @ParameterizedTest
  @MethodSource("clients")
  void everyClientThatWritesARecordFindsTheRegisteredSchemaUnderItsTopic(Client client)
      throws Exception {
    int id = register("a-value", PLAIN).body().path("id").asInt();
    // Python's own spacing, and the fields that some clients add.
    String body =
        JSON.createObjectNode()
            .put("schema", PLAIN.replace(":", ": ").replace(",", ", "))
            .put("schemaType", "AVRO")
            .set("references", JSON.createArrayNode())
            .toString();
    Map<String, String> headers = new HashMap<>(client.headers());
    headers.put("Content-Type", MEDIA_TYPE);
    String flag = "=" + client.flag();

    Answer latest = send("GET", "/subjects/a-value/versions/latest", "", client.headers());
    assertThat(latest.body().path("id").asInt()).isEqualTo(id);
    assertThat(latest.body().path("version").asInt()).isEqualTo(1);
    assertThat(latest.body().path("subject").asText()).isEqualTo("a-value");
    for (String path :
        List.of(
            "/subjects/a-value?normalize" + flag + "&deleted" + flag,
            "/subjects/a-value",
            "/subjects/a-value/versions?normalize" + flag)) {
      Answer answer = send("POST", path, body, headers);
      assertThat(answer.status()).as(path).isEqualTo(200);
      assertThat(answer.body().path("id").asInt()).as(path).isEqualTo(id);
    }
    for (String path : List.of("/subjects", "/subjects/a-value/versions")) {
      Answer answer =
          send(
              "GET",
              path + "?deleted=false&deleted_only=false&offset=0&limit=-1",
              "",
              client.headers());
      assertThat(answer.body()).as(path).hasSize(1);
    }
    Answer compatible =
        send(
            "POST",
            "/compatibility/subjects/a-value/versions/latest?normalize" + flag + "&verbose" + flag,
            body,
            headers);
    assertThat(compatible.body().toString()).isEqualTo("{\"is_compatible\":true}");
    assertThat(send("GET", "/subjects/nobody/versions/latest", "", client.headers()).code())
        .isEqualTo(40401);
    assertThat(get("/subjects/a-value/versions").body().toString()).isEqualTo("[1]");
  }

  /** Newer clients ask which subject belongs to a topic, and take a 404 for the usual one. */
  @ParameterizedTest
  @MethodSource("clients")
  void aCallThatItDoesNotKnowIs404InJsonSoThatNewerClientsGoOnWithoutIt(Client client)
      throws Exception {
    Answer answer =
        send(
            "GET",
            "/associations/resources/-/a?resourceType=topic&associationType=value",
            "",
            client.headers());

    assertThat(answer.status()).isEqualTo(404);
    assertThat(answer.code()).isEqualTo(404);
  }

  private static String record(String moreFields) {
    return "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"n\",\"doc\":\"d\",\"fields\":["
        + "{\"name\":\"a\",\"type\":\"string\"}"
        + moreFields
        + "]}";
  }

  private static String schema(String text) {
    return JSON.createObjectNode().put("schema", text).toString();
  }

  private Answer register(String subject, String schema) throws Exception {
    return post("/subjects/" + subject + "/versions", schema(schema));
  }

  private boolean compatible(String subject, String schema) throws Exception {
    return post("/compatibility/subjects/" + subject + "/versions", schema(schema))
        .body()
        .path("is_compatible")
        .asBoolean();
  }

  private Answer get(String path) throws Exception {
    return send("GET", path, "", MEDIA_TYPE);
  }

  private Answer post(String path, String body) throws Exception {
    return send("POST", path, body, MEDIA_TYPE);
  }

  private Answer put(String path, String body) throws Exception {
    return send("PUT", path, body, MEDIA_TYPE);
  }

  private Answer send(String method, String path, String body, String type) throws Exception {
    return send(method, path, body, Map.of("Content-Type", type));
  }

  private Answer send(String method, String path, String body, Map<String, String> headers)
      throws Exception {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(registry.url() + path))
            .method(
                method, body.isEmpty() ? BodyPublishers.noBody() : BodyPublishers.ofString(body));
    headers.forEach(request::header);
    HttpResponse<String> response = http.send(request.build(), BodyHandlers.ofString());
    assertThat(response.headers().firstValue("Content-Type")).contains(MEDIA_TYPE);
    return new Answer(response.statusCode(), JSON.readTree(response.body()));
  }
}
