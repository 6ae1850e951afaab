package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.schemas.avro.ModelAncestor;
import dev.whence.schemas.avro.ModelKind;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ModelRole;
import dev.whence.schemas.avro.TransferEvent;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class SubscriptionsTest {
  private final AnnouncedModels models = new AnnouncedModels();
  private long offset;

  private static TransferConfig.Subscription subscription(String name, String fineTuned) {
    return subscription(name, fineTuned, "base-[0-9]+");
  }

  private static TransferConfig.Subscription subscription(
      String name, String fineTuned, String line) {
    return new TransferConfig.Subscription(
        name,
        "base",
        fineTuned,
        Pattern.compile(line),
        fineTuned,
        List.of(),
        List.of(),
        1,
        List.of(),
        Map.of());
  }

  private Subscriptions subscriptions() {
    return new Subscriptions(List.of(subscription("", "chat")), models);
  }

  private void announce(String modelId, ModelKind kind, ModelAncestor... lineage) {
    models.released(
        offset++,
        ModelRelease.newBuilder()
            .setModelId(modelId)
            .setKind(kind)
            .setLocation(modelId)
            .setLineage(List.of(lineage))
            .build());
  }

  private void withdraw(String modelId) {
    models.withdrawn(modelId);
    offset++;
  }

  private void announceBaseAndChat() {
    announce("base", ModelKind.BASE);
    announce("chat", ModelKind.FINE_TUNED);
  }

  private static List<String> asked(Subscriptions subscriptions) {
    return subscriptions.due().stream().map(TransferEvent::getModelId).toList();
  }

  @Test
  void onlyTheNewestBaseIsAskedForAndOnlyOnce() {
    Subscriptions subscriptions = subscriptions();
    announceBaseAndChat();
    announce("base-2", ModelKind.BASE);
    announce("base-3", ModelKind.BASE);
    assertThat(subscriptions.isWaiting()).isTrue();
    assertThat(asked(subscriptions)).containsExactly("chat-on-base-3");
    assertThat(subscriptions.isWaiting()).isFalse();
    assertThat(asked(subscriptions)).isEmpty();
  }

  @Test
  void nothingIsAskedForBeforeBaseAndFineTunedAreKnown() {
    Subscriptions subscriptions = subscriptions();
    announce("base-2", ModelKind.BASE);
    assertThat(asked(subscriptions)).isEmpty();
    announce("chat", ModelKind.FINE_TUNED);
    assertThat(asked(subscriptions)).isEmpty();
    announce("base", ModelKind.BASE);
    assertThat(asked(subscriptions)).containsExactly("chat-on-base-2");
  }

  @Test
  void aNewestBaseThatIsWithdrawnBeforeTheFineTunedIsKnownBringsBackTheOneBefore() {
    Subscriptions subscriptions = subscriptions();
    announce("base", ModelKind.BASE);
    announce("base-2", ModelKind.BASE);
    announce("base-3", ModelKind.BASE);
    assertThat(asked(subscriptions)).isEmpty();
    withdraw("base-3");
    announce("chat", ModelKind.FINE_TUNED);
    assertThat(asked(subscriptions)).containsExactly("chat-on-base-2");
  }

  @Test
  void aNewestBaseThatIsWithdrawnAfterItWasAskedForBringsBackTheOneBefore() {
    Subscriptions subscriptions = subscriptions();
    announceBaseAndChat();
    announce("base-2", ModelKind.BASE);
    announce("base-3", ModelKind.BASE);
    assertThat(asked(subscriptions)).containsExactly("chat-on-base-3");
    withdraw("base-3");
    assertThat(subscriptions.isWaiting()).isTrue();
    assertThat(asked(subscriptions)).containsExactly("chat-on-base-2");
    withdraw("base-2");
    assertThat(asked(subscriptions)).isEmpty();
  }

  @Test
  void anOldBaseThatIsAnnouncedAgainDoesNotBecomeTheNewest() {
    Subscriptions subscriptions = subscriptions();
    announceBaseAndChat();
    announce("base-2", ModelKind.BASE);
    announce("base-3", ModelKind.BASE);
    announce("base-2", ModelKind.BASE);
    assertThat(asked(subscriptions)).containsExactly("chat-on-base-3");
    announce("base-2", ModelKind.BASE);
    assertThat(asked(subscriptions)).isEmpty();
  }

  @Test
  void aBaseThatWasWithdrawnAndComesBackIsNew() {
    Subscriptions subscriptions = subscriptions();
    announceBaseAndChat();
    announce("base-2", ModelKind.BASE);
    announce("base-3", ModelKind.BASE);
    withdraw("base-2");
    announce("base-2", ModelKind.BASE);
    assertThat(asked(subscriptions)).containsExactly("chat-on-base-2");
  }

  @Test
  void whatATransferProducedIsNoNewBaseWhateverItIsAnnouncedAs() {
    Subscriptions subscriptions = subscriptions();
    announceBaseAndChat();
    announce("base-2", ModelKind.BASE);
    announce("base-3", ModelKind.TRANSFERRED);
    announce("base-4", ModelKind.FINE_TUNED);
    announce("base-5", ModelKind.BASE, new ModelAncestor("chat", "", "fine-tuned"));
    announce("another-line", ModelKind.BASE);
    assertThat(asked(subscriptions)).containsExactly("chat-on-base-2");
  }

  @Test
  void theBaseThatFineTuningStartedFromIsNoNewBase() {
    Subscriptions subscriptions =
        new Subscriptions(
            List.of(
                new TransferConfig.Subscription(
                    "",
                    "base-1",
                    "chat",
                    Pattern.compile("base-[0-9]+"),
                    "chat",
                    List.of(),
                    List.of(),
                    1,
                    List.of(),
                    Map.of())),
            models);
    announce("chat", ModelKind.FINE_TUNED);
    announce("base-1", ModelKind.BASE);
    assertThat(asked(subscriptions)).isEmpty();
  }

  @Test
  void aResultOnABaseOfAnyNameHasANameThatIsTaken() {
    Subscriptions subscriptions =
        new Subscriptions(List.of(subscription("", "chat", "acme/.*")), models);
    announceBaseAndChat();
    announce("acme/base 2", ModelKind.BASE);
    assertThat(asked(subscriptions)).containsExactly("chat-on-acme-base-2");

    String begin = "acme/" + "b".repeat(100);
    announce(begin + "-1", ModelKind.BASE);
    List<String> first = asked(subscriptions);
    announce(begin + "-2", ModelKind.BASE);
    List<String> second = asked(subscriptions);
    assertThat(first)
        .singleElement()
        .satisfies(
            name ->
                assertThat(name)
                    .hasSize(100)
                    .startsWith("chat-on-acme-bbb")
                    .matches(TransferRequests::isModelId));
    assertThat(second).hasSize(1).isNotEqualTo(first);
  }

  @Test
  void twoSubscriptionsAskEachForItsOwn() {
    TransferConfig.Subscription chat = subscription("support", "chat");
    TransferConfig.Subscription code =
        new TransferConfig.Subscription(
            "code",
            "base",
            "code",
            Pattern.compile("base-2"),
            "coder",
            List.of(ModelRole.TARGET),
            List.of("acme/code"),
            .5,
            List.of(.25, .75),
            Map.of("missing", "target"));
    Subscriptions subscriptions = new Subscriptions(List.of(chat, code), models);
    announceBaseAndChat();
    announce("base-2", ModelKind.BASE);
    announce("base-3", ModelKind.BASE);
    assertThat(asked(subscriptions)).containsExactly("chat-on-base-3");
    announce("code", ModelKind.FINE_TUNED);
    List<TransferEvent> due = subscriptions.due();
    assertThat(due).hasSize(1);
    TransferEvent request = due.get(0);
    assertThat(request.getModelId()).isEqualTo("coder-on-base-2");
    assertThat(request.getRoles()).containsExactly(ModelRole.TARGET);
    assertThat(request.getAliases()).containsExactly("acme/code");
    assertThat(request.getLambda()).isEqualTo(.5);
    assertThat(request.getSweep()).containsExactly(.25, .75);
    assertThat(request.getPolicies()).containsExactly(Map.entry("missing", "target"));
    assertThat(request.getRequestedBy()).isEqualTo("subscription code");
  }
}
