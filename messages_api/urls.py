"""The paths of the API lane."""

from django.urls import path

from messages_api import views

urlpatterns = [
    path("v1/messages", views.MessagesView.as_view()),
    path("v1/messages/count_tokens", views.CountTokensView.as_view()),
    path("v1/models", views.ModelListView.as_view()),
    path("v1/models/<path:model_id>", views.ModelView.as_view()),
]
