package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.whence.files.Sha256;
import dev.whence.schemas.avro.ModelRole;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferModel;
import dev.whence.transfer.TransferException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TransferRequestsTest {
  @TempDir private Path root;

  private static TransferModel model(String name) {
    return TransferModel.newBuilder().setModelId(name).setLocation(name).setDigest("").build();
  }

  private static TransferEvent request(
      List<ModelRole> roles, List<String> aliases, double lambda, List<Double> sweep) {
    return TransferRequests.request(
        model("base"),
        model("chat"),
        model("base-2"),
        "chat-2",
        roles,
        aliases,
        lambda,
        sweep,
        Map.of("missing", "target"),
        "test");
  }

  private static String id(List<ModelRole> roles, List<String> aliases) {
    return request(roles, aliases, 1, List.of()).getTransferId();
  }

  @Test
  void whatIsAskedForAgainHasTheSameIdWhateverTheOrderOfRolesAndAliases() {
    assertThat(id(List.of(ModelRole.FAST, ModelRole.TARGET), List.of("a", "b")))
        .isEqualTo(id(List.of(ModelRole.TARGET, ModelRole.FAST), List.of("b", "a", "b")))
        .matches("[0-9a-f]{64}");
  }

  @Test
  void anotherRoleOrAliasIsAnotherRequest() {
    assertThat(
            List.of(
                id(List.of(ModelRole.FAST), List.of("a")),
                id(List.of(ModelRole.TARGET), List.of("a")),
                id(List.of(ModelRole.FAST, ModelRole.TARGET), List.of("a")),
                id(List.of(), List.of("a")),
                id(List.of(ModelRole.FAST), List.of("b")),
                id(List.of(ModelRole.FAST), List.of("a", "b")),
                id(List.of(ModelRole.FAST), List.of())))
        .doesNotHaveDuplicates();
  }

  @Test
  void textsThatLookLikeOtherPartsDoNotMakeTwoRequestsTheSame() {
    assertThat(
            List.of(
                id(List.of(), List.of("a", "b")),
                id(List.of(), List.of("a\nb")),
                id(List.of(), List.of("a1:b")),
                id(List.of(), List.of("a", "b", ""))))
        .doesNotHaveDuplicates();
  }

  private List<String> reasons(TransferEvent request) {
    return catchThrowableOfType(
            TransferException.class, () -> TransferRequests.read(request, List.of(root)))
        .reasons();
  }

  private void models() throws Exception {
    for (String name : List.of("base", "chat", "base-2")) {
      Files.createDirectories(root.resolve(name));
    }
  }

  @Test
  void aRequestWithFiniteFactorsIsRead() throws Exception {
    models();
    List<Double> sixteen = IntStream.range(0, 16).mapToObj(i -> i / 8.).toList();
    assertThat(
            TransferRequests.read(request(List.of(), List.of(), -.5, sixteen), List.of(root))
                .lambdas())
        .containsExactly(-.5);
  }

  @Test
  void aLambdaAndASweepThatAreNoFiniteNumbersAreRefusedWithAllOtherReasons() throws Exception {
    models();
    TransferEvent request =
        TransferEvent.newBuilder(
                request(
                    List.of(),
                    List.of(),
                    Double.NaN,
                    List.of(.5, Double.POSITIVE_INFINITY, .5, .5, 0., -0.)))
            .setModelId("..")
            .setTarget(model("../outside"))
            .setPolicies(Map.of("speed", "high"))
            .build();
    assertThat(reasons(request))
        .anySatisfy(reason -> assertThat(reason).startsWith("modelId must have 1 to 100"))
        .anySatisfy(reason -> assertThat(reason).startsWith("target: "))
        .contains(
            "there is no policy 'speed'",
            "lambda is NaN, but must be a finite number",
            "sweep has Infinity, but takes finite numbers only",
            "sweep has 0.5 more than once",
            "sweep has -0.0 more than once")
        .hasSize(7);
  }

  @Test
  void aSweepOfMoreThanSixteenValuesIsRefused() throws Exception {
    models();
    List<Double> many = new ArrayList<>(IntStream.range(0, 17).mapToObj(i -> i / 8.).toList());
    assertThat(reasons(request(List.of(), List.of(), 1, many)))
        .containsExactly("sweep has 17 values, but takes at most 16");
  }

  @Test
  void aTransferIsNamedByDigitsWhateverItsIdIs() {
    String hash = Sha256.of("any");
    assertThat(TransferRequests.digits(hash)).isEqualTo(hash.substring(0, 12));
    for (String id : List.of("", "../../outside", "short", hash.toUpperCase(Locale.ROOT))) {
      assertThat(TransferRequests.digits(id)).matches("[0-9a-f]{12}");
    }
    assertThat(TransferRequests.digits("one")).isNotEqualTo(TransferRequests.digits("other"));
  }
}
